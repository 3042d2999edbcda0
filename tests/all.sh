#!/usr/bin/env bash
# Installs what the tests need on Debian, then checks and tests everything.
set -euo pipefail
cd "$(dirname "$0")/.."

# A missing package is a failure here, and not a reason to skip a test.
export CI=true

packages=(bind9-dnsutils curl wrk zookeeper libslf4j-java default-jre-headless python3-venv nsd knot nodejs openssl python3-h11 chromium)
missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
        grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    # The tests run servers of their own: those that come with the packages need not start.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap '$sudo rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 755 "$policy"
    fi
    $sudo apt-get update -q
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "${missing[@]}"
fi

# A Python of our own with kazoo, the ZooKeeper client of many who will use signpost.
python=target/python
if ! "$python/bin/python3" -c 'import kazoo' 2>/dev/null; then
    /usr/bin/python3 -m venv "$python"
    "$python/bin/pip" install -q kazoo==2.11.0
fi

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
cargo build --workspace --examples
cargo test --workspace
