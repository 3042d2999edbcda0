"""HTTP forwarding: signpost next to nginx and HAProxy, on one core each in turn."""

import contextlib
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile

from harness import (
    LOAD_CORE, ROOT, SERVER_CORE, cpu_seconds, free_port, load, resident_bytes, running, table, wait_for
)
from proxies import (
    CONNECTIONS, UPSTREAMS, http_answers, proxy_haproxy, proxy_nginx, proxy_signpost, write_upstream
)

SERVERS = {"signpost": proxy_signpost, "nginx": proxy_nginx, "haproxy": proxy_haproxy}

# What is asked, and whether on kept connections.
KINDS = {
    "64 B": ("/", True),
    "4 KiB": ("/4k", True),
    "1 MiB": ("/1m", True),
    "64 B, new connections": ("/", False),
}

IDLE = 10_000

# What 99 of 100 requests take is another thing each time.
LATENCY_ROUNDS = 9

# 1,000 services of 100 instances.
SERVICES, INSTANCES = 1000, 100


def measure(pid, port, path, keep, seconds, host="web"):
    """Returns CPU µs by request, requests a second, and how many failed."""
    before = cpu_seconds(pid)
    headers = ["-H", f"Host: {host}", *([] if keep else ["-H", "Connection: close"])]
    url = f"http://127.0.0.1:{port}{path}"
    out = load("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", *headers, url)
    used = cpu_seconds(pid) - before
    completed = int(re.search(r"(\d+) requests in", out)[1])
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    failed = (int(wrong[1]) if wrong else 0) + sum(map(int, re.findall(r"\d+", errors[1] if errors else "")))
    return used / completed * 1e6, completed / seconds, failed


def latencies(port, rate, seconds, program):
    """Returns p50 and p99 in µs, answers a second and failures at a rate, counted from when requests were due."""
    out = load(program, port, CONNECTIONS, f"{rate:.0f}", seconds)
    p50, p99, done, failed = map(float, out.split())
    return p50, p99, done / seconds, int(failed)


def bytes_for_idle(pid, port):
    """Returns how many bytes of the process one client costs that has asked once and stays."""
    request = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n"
    # What was needed once isn't counted.
    before = resident_bytes(pid)
    with contextlib.ExitStack() as stack:
        for _ in range(IDLE):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(request)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        return (resident_bytes(pid) - before) / IDLE


@contextlib.contextmanager
def started(directory, commands):
    """Runs the upstreams and servers; yields process and port by name. `commands` get a directory, the port
    and the ports of the upstreams."""
    with contextlib.ExitStack() as stack:
        upstreams = [free_port() for _ in range(UPSTREAMS)]
        stack.enter_context(running(LOAD_CORE, *write_upstream(directory, upstreams)))
        wait_for(lambda: http_answers(upstreams[-1]), "upstream")
        servers = {}
        for name, command in commands.items():
            own = directory / name.replace(" ", "-")
            own.mkdir()
            port = free_port()
            pid = stack.enter_context(running(SERVER_CORE, *command(own, port, upstreams)))
            wait_for(lambda port=port: http_answers(port), name)
            servers[name] = (pid, port)
        yield servers


def print_throughput(results):
    """Prints how much of 1 MiB bodies a second of CPU carries."""
    print("\n| 1 MiB bodies | MiB by CPU second | signpost ÷ it |\n|---|---|---|")
    carried = {
        server: 1e6 / statistics.median(cost for cost, _, _ in results["1 MiB", server]) for server in SERVERS
    }
    for server, mib in carried.items():
        print(f"| {server} | {mib:,.0f} | {carried['signpost'] / mib:.2f} |")


def print_latencies(servers, directory, seconds, rates):
    """Measures and prints latencies at half of the rate that the slowest server can do."""
    rate = min(rates) / 2
    program = directory / "paced"
    subprocess.run(["gcc", "-O2", "-o", program, ROOT / "bench/paced.c"], check=True)
    print(f"\n| {rate:,.0f} requests a second | p50 µs | p99 µs | done a second | failed |\n|---|---|---|---|---|")
    rounds = {name: [] for name in servers}
    for _ in range(LATENCY_ROUNDS):
        for name, (_, port) in servers.items():
            rounds[name].append(latencies(port, rate, seconds, program))
    for name, all in rounds.items():
        p50, p99, done = (statistics.median(one[at] for one in all) for at in range(3))
        least, most = min(one[1] for one in all), max(one[1] for one in all)
        failed = sum(one[3] for one in all)
        print(f"| {name} | {p50:,.0f} | {p99:,.0f} ({least:,.0f}–{most:,.0f}) | {done:,.0f} | {failed} |")


def bench_proxy(seconds, rounds):
    """Prints all comparisons; returns the median CPU µs by (kind, server)."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        with started(directory, SERVERS) as servers:
            print(f"\n| {IDLE:,} idle clients | bytes by client |\n|---|---|")
            for server, (pid, port) in servers.items():
                print(f"| {server} | {bytes_for_idle(pid, port):,.0f} |")
            results = {(kind, server): [] for kind in KINDS for server in servers}
            for kind, (path, keep) in KINDS.items():
                for _ in range(rounds):
                    for server, (pid, port) in servers.items():
                        results[kind, server].append(measure(pid, port, path, keep, seconds))
            table("HTTP proxy", "request", results, KINDS, SERVERS, ["nginx", "haproxy"])
            print_throughput(results)
            rates = [statistics.median(rate for _, rate, _ in results["64 B", server]) for server in servers]
            print_latencies(servers, directory, seconds, rates)
    return {key: statistics.median(cost for cost, _, _ in costs) for key, costs in results.items()}


def bench_own(seconds, rounds):
    """Prints what signpost costs with its access log, and with many services and instances."""

    def many(directory, port, upstreams):
        services = {
            f"s{n}": [
                f"127.{1 + n // 250}.{n % 250}.{1 + at}:{upstreams[at % UPSTREAMS]}" for at in range(INSTANCES)
            ]
            for n in range(SERVICES - 1)
        }
        web = [f"127.0.0.{1 + at}:{upstreams[at % UPSTREAMS]}" for at in range(INSTANCES)]
        return proxy_signpost(directory, port, upstreams, services={**services, "web": web})

    def logging(directory, port, upstreams):
        return proxy_signpost(directory, port, upstreams, log=True)

    kinds = {
        "as it comes": proxy_signpost,
        "access log": logging,
        f"{SERVICES:,} services of {INSTANCES} instances": many,
    }
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        with started(directory, kinds) as servers:
            results = {("64 B", kind): [] for kind in kinds}
            for _ in range(rounds):
                for kind, (pid, port) in servers.items():
                    results["64 B", kind].append(measure(pid, port, "/", True, seconds))
            table("signpost", "request", results, ["64 B"], kinds, ["as it comes"])
