#!/usr/bin/env python3
"""Compares signpost with its peers on one core.

dns      UDP: a bare echo, NSD, Knot and BIND, over 2,000 services of 4 instances
tcp      TCP: NSD and Knot
sizes    UDP over 1,000 to 100,000 services of 10 instances; writes bench/zone-size.svg
proxy    nginx and HAProxy: bodies of 64 bytes, 4 KiB and 1 MiB, new connections, latencies at half load, idle
         clients; then signpost with its access log, and with 1,000 services of 100 instances; writes bench/proxy.svg
changes  queries to signpost alone while 5,000 instances a second change in a ZooKeeper, and while none do

Each server runs alone on core 0, the load and the upstreams on core 1. The servers take turns, several
rounds of each, and what counts is CPU per operation: user and system time of the server's processes
over completed operations. Wall-clock figures would say more about the machine than about the server.
Only `changes` looks at latencies: it needs a machine that does nothing else.

Needs: cargo build --release, and Debian's gcc dnsperf nsd knot bind9 nginx-light haproxy wrk zookeeper
libslf4j-java default-jre-headless.
Usage: bench/compare.py [dns|tcp|sizes|proxy|changes|all] [--seconds 5] [--rounds 5]
"""

import argparse

import changes
import dns
import plot
import proxy
from harness import ROOT, SIGNPOST


def sizes(seconds, rounds):
    costs = dns.bench_sizes(seconds, rounds)
    (ROOT / "bench/zone-size.svg").write_text(plot.costs_by_size(costs))


def proxies(seconds, rounds):
    costs = proxy.bench_proxy(seconds, rounds)
    (ROOT / "bench/proxy.svg").write_text(plot.costs_by_kind(costs))
    proxy.bench_own(seconds, rounds)


PARTS = {
    "dns": dns.bench_udp,
    "tcp": dns.bench_tcp,
    "sizes": sizes,
    "proxy": proxies,
    "changes": changes.bench_changes,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=[*PARTS, "all"], default="all")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not SIGNPOST.exists():
        raise SystemExit("build it first: cargo build --release")
    for part, bench in PARTS.items():
        if args.what in (part, "all"):
            bench(args.seconds, args.rounds)


if __name__ == "__main__":
    main()
