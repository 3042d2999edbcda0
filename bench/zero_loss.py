#!/usr/bin/env python3
"""Counts what is lost while instances come and go and the configuration changes: signpost, and HAProxy that is reloaded.

64 clients ask all the time, on connections that are kept. Meanwhile 1,000 times a minute an instance is added or
removed, and 100 times a minute the configuration changes: signpost by its admin API and SIGHUP; HAProxy, in its
master-worker mode, by a new configuration and SIGUSR2 for each, as tools do that write HAProxy's configuration. The
instances themselves are always there, so nothing but the change itself can lose a request.

Needs: cargo build --release, and Debian's nginx-light haproxy wrk.
Usage: bench/zero_loss.py [--seconds 60]
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import tempfile
import threading
import time
import urllib.request

from harness import (
    LOAD_CORE, SERVER_CORE, SIGNPOST, cpu_seconds, descendants, free_port, load, running, wait_for
)
from proxies import CONNECTIONS, http_answers, write_upstream

INSTANCES, INSTANCES_MIN = 12, 6
CHANGES_PER_MINUTE, RELOADS_PER_MINUTE = 1000, 100


class Signpost:
    """Changes by the admin API, and by SIGHUP for the configuration."""

    def __init__(self, directory, port, upstream):
        self.directory, self.port, self.upstream = directory, port, upstream
        self.admin = free_port()
        self.write(60)
        self.command = [SIGNPOST, "run", "--config", directory / "signpost.toml"]

    def write(self, idle):
        text = f"""workers = 1
[admin]
listen = "127.0.0.1:{self.admin}"
[registry]
state_dir = "{self.directory}/state"
[dns]
listen = []
[sources.store.store]
path = "{self.directory}/store"
[[proxy.listeners]]
listen = "127.0.0.1:{self.port}"
[proxy.timeouts]
idle = "{idle}s"
"""
        replace(self.directory / "signpost.toml", text)

    def change(self, pid, present, changed):
        url = f"http://127.0.0.1:{self.admin}/v1/services/web/instances/i{changed}"
        body = json.dumps({"address": f"127.0.0.{1 + changed}", "port": self.upstream}).encode()
        there = changed in present
        request = urllib.request.Request(url, data=body if there else None, method="PUT" if there else "DELETE")
        urllib.request.urlopen(request, timeout=10).read()

    def reload(self, pid, turn):
        self.write(60 + turn % 2)
        os.kill(pid, signal.SIGHUP)


class Haproxy:
    """Changes by a new configuration and a reload."""

    def __init__(self, directory, port, upstream):
        self.directory, self.port, self.upstream = directory, port, upstream
        self.present = set(range(INSTANCES))
        self.write(60)
        self.command = ["haproxy", "-W", "-db", "-f", directory / "haproxy.cfg"]

    def write(self, idle):
        servers = "".join(f"  server s{n} 127.0.0.{1 + n}:{self.upstream}\n" for n in sorted(self.present))
        text = f"""global
  nbthread 1
  no strict-limits
  maxconn 4096
  stats socket {self.directory}/admin.sock mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 1s
  timeout client {idle}s
  timeout server 60s
  http-reuse always
frontend web
  bind 127.0.0.1:{self.port}
  default_backend web
backend web
  balance random(2)
{servers}"""
        replace(self.directory / "haproxy.cfg", text)

    def change(self, pid, present, changed):
        self.present = set(present)
        self.reload(pid, 0)

    def reload(self, pid, turn):
        self.write(60 + turn % 2)
        os.kill(pid, signal.SIGUSR2)


def replace(path, text):
    """Writes a file in one step, so that nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def disturb(server, pid, seconds, counts):
    """Changes membership and configuration at their rates."""
    present, begin = set(range(INSTANCES)), time.monotonic()
    changes, reloads = seconds * CHANGES_PER_MINUTE // 60, seconds * RELOADS_PER_MINUTE // 60
    while counts["changes"] < changes or counts["reloads"] < reloads:
        passed = time.monotonic() - begin
        if passed > 2 * seconds:
            return
        if counts["changes"] < min(changes, passed * CHANGES_PER_MINUTE / 60):
            changed = counts["changes"] % INSTANCES
            if changed in present and len(present) > INSTANCES_MIN:
                present.remove(changed)
            else:
                present.add(changed)
            server.change(pid, present, changed)
            counts["changes"] += 1
        elif counts["reloads"] < min(reloads, passed * RELOADS_PER_MINUTE / 60):
            server.reload(pid, counts["reloads"])
            counts["reloads"] += 1
        else:
            time.sleep(0.005)
        counts["processes"] = max(counts["processes"], 1 + len(descendants(pid)))


def lost(name, kind, seconds, directory, upstream):
    own = directory / name
    own.mkdir()
    port = free_port()
    server = kind(own, port, upstream)
    with running(SERVER_CORE, *server.command) as pid:
        if kind is Signpost:
            ready = f"http://127.0.0.1:{server.admin}/readyz"
            wait_for(lambda: answers(ready), name)
            for n in range(INSTANCES):
                server.change(pid, set(range(INSTANCES)), n)
        wait_for(lambda: http_answers(port), name)
        counts = {"changes": 0, "reloads": 0, "processes": 1}
        changing = threading.Thread(target=disturb, args=(server, pid, seconds, counts))
        before = cpu_seconds(pid)
        changing.start()
        out = load(
            "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", "Host: web", f"http://127.0.0.1:{port}/"
        )
        changing.join()
        used = cpu_seconds(pid) - before
    requests = int(re.search(r"(\d+) requests in", out)[1])
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    print(
        f"| {name} | {counts['changes']} | {counts['reloads']} | {requests:,} | {int(wrong[1]) if wrong else 0} |"
        f" {errors[1] if errors else 'none'} | {used:.0f} | {counts['processes']} |"
    )


def answers(url):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=1).status == 200
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    print("| | changes | reloads | answers | not 200 | socket errors | CPU s | processes at most |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        upstream = free_port()
        with running(LOAD_CORE, *write_upstream(directory, [upstream])):
            wait_for(lambda: http_answers(upstream), "upstream")
            for name, kind in {"signpost": Signpost, "haproxy": Haproxy}.items():
                lost(name, kind, seconds, directory, upstream)


if __name__ == "__main__":
    main()
