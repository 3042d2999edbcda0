"""DNS over UDP and TCP: signpost next to NSD, Knot and BIND, and to an echo that only sends back."""

import contextlib
import json
import pathlib
import re
import socket
import subprocess
import tempfile

from harness import (
    ROOT, SERVER_CORE, SIGNPOST, cpu_seconds, free_port, load, resident_bytes, running, signpost_config, table,
    wait_for,
)

MIXES = ["A", "SRV", "mix"]
SERVICES, INSTANCES = 2000, 4
# Services of ten instances each: what the plot shows, and the peers are compared at.
SIZES, SIZE_INSTANCES = [1000, 10_000, 100_000], 10
QUERIES = 20_000


def address(service, instance):
    return f"10.{service // 250 % 250}.{service % 250}.{instance + 1}"


def write_zone(directory, services, instances):
    """Writes the same services for signpost (a list) and for the peers (a zone file)."""
    listed = []
    with (directory / "svc.zone").open("w") as zone:
        zone.write("$ORIGIN svc.internal.\n$TTL 5\n@ SOA ns hostmaster 1 3600 600 604800 5\n@ NS ns\nns A 127.0.0.1\n")
        for service in range(services):
            name = f"s{service}"
            listed.append({"name": name, "instances": [
                {"id": f"i{n}", "address": address(service, n), "port": 9000} for n in range(instances)
            ]})
            for n in range(instances):
                zone.write(f"{name} A {address(service, n)}\n")
                zone.write(f"_{name}._tcp SRV 0 1 9000 i{n}.{name}\n")
                zone.write(f"i{n}.{name} A {address(service, n)}\n")
    (directory / "services.json").write_text(json.dumps({"services": listed}))


def write_queries(directory, services):
    """Writes the query mixes; the order is fixed, so that every server gets the same."""
    names = [f"s{(n * 7919) % services}" for n in range(QUERIES)]
    mixes = {
        "A": [f"{name}.svc.internal A" for name in names],
        "SRV": [f"_{name}._tcp.svc.internal SRV" for name in names],
        "mix": [],
    }
    for n, name in enumerate(names):
        kind = n % 10
        if kind < 6:
            mixes["mix"].append(f"{name}.svc.internal A")
        elif kind < 9:
            mixes["mix"].append(f"_{name}._tcp.svc.internal SRV")
        else:
            mixes["mix"].append(f"no-{name}.svc.internal A")
    for mix, lines in mixes.items():
        (directory / f"queries.{mix}").write_text("\n".join(lines) + "\n")


def signpost(directory, port):
    config = signpost_config(
        directory,
        dns=f'[dns]\nlisten = ["127.0.0.1:{port}"]\n',
        proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{free_port()}"\n',
        sources=f'[sources.list.file]\npath = "{directory.parent}/services.json"\nfile_bytes_max = "1GiB"\n',
    )
    return [SIGNPOST, "run", "--config", config]


def nsd(directory, port):
    config = directory / "nsd.conf"
    config.write_text(
        f"""server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory.parent}"
  database: ""
  pidfile: "{directory}/nsd.pid"
  xfrdfile: "{directory}/xfrd.state"
  zonelistfile: "{directory}/zone.list"
  verbosity: 0
  round-robin: yes
  minimal-responses: no
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: svc.internal
  zonefile: svc.zone
"""
    )
    return ["/usr/sbin/nsd", "-d", "-c", config]


def knot(directory, port):
    config = directory / "knot.conf"
    config.write_text(
        f"""server:
  listen: 127.0.0.1@{port}
  rundir: "{directory}"
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: "{directory}/db"
log:
  - target: stderr
    any: critical
zone:
  - domain: svc.internal
    storage: "{directory.parent}"
    file: svc.zone
    zonefile-sync: -1
    journal-content: none
"""
    )
    return ["/usr/sbin/knotd", "-c", config]


def bind(directory, port):
    config = directory / "named.conf"
    config.write_text(
        f"""options {{
  directory "{directory}";
  pid-file "{directory}/named.pid";
  session-keyfile "{directory}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion no;
  minimal-responses no;
}};
controls {{ }};
zone "svc.internal" {{ type primary; file "{directory.parent}/svc.zone"; }};
"""
    )
    return ["/usr/sbin/named", "-f", "-n", "1", "-c", config]


def echo(directory, port):
    program = directory / "echo"
    subprocess.run(["gcc", "-O2", "-o", program, ROOT / "bench/echo.c"], check=True)
    return [program, port]


def echoes(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        sock.sendto(bytes(12), ("127.0.0.1", port))
        try:
            return len(sock.recv(64)) == 12
        except OSError:
            return False


def answers(port):
    """Tells whether a server has the zone: that service s1 has its addresses."""
    query = bytes.fromhex("123400000001000000000000") + b"\x02s1\x03svc\x08internal\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(query, ("127.0.0.1", port))
            return int.from_bytes(sock.recv(1500)[6:8], "big") > 1
        except OSError:
            return False


@contextlib.contextmanager
def serving(servers, services, instances):
    """Runs the servers over a zone of so many services; gives them by name as (pid, port), and the queries' place."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        write_zone(directory, services, instances)
        write_queries(directory, services)
        started = {}
        for server, command in servers.items():
            own = directory / server
            own.mkdir()
            port = free_port()
            pid = stack.enter_context(running(SERVER_CORE, *command(own, port)))
            up = echoes if server == "echo" else answers
            wait_for(lambda port=port, up=up: up(port), server, 600)
            started[server] = (pid, port)
        yield started, directory


def measure(pid, port, queries, seconds, mode="udp"):
    before = cpu_seconds(pid)
    out = load(
        "dnsperf", "-m", mode, "-s", "127.0.0.1", "-p", port, "-d", queries, "-l", seconds, "-c", 8, "-T", 1, "-q", 100
    )
    used = cpu_seconds(pid) - before
    completed = int(re.search(r"Queries completed:\s+(\d+)", out)[1])
    lost = int(re.search(r"Queries lost:\s+(\d+)", out)[1])
    return used / completed * 1e6, completed / seconds, lost


def interleaved(started, directory, mixes, seconds, rounds, mode="udp"):
    """Measures each server with each mix, all of them in turns; lists of rounds by mix and server."""
    results = {(mix, server): [] for mix in mixes for server in started}
    for _ in range(rounds):
        for mix in mixes:
            for server, (pid, port) in started.items():
                results[mix, server].append(measure(pid, port, directory / f"queries.{mix}", seconds, mode))
    return results


def bench_udp(seconds, rounds):
    servers = {"signpost": signpost, "echo": echo, "nsd": nsd, "knot": knot, "bind": bind}
    with serving(servers, SERVICES, INSTANCES) as (started, directory):
        results = interleaved(started, directory, MIXES, seconds, rounds)
    table("DNS over UDP", "query", results, MIXES, servers, ["nsd", "echo"])


def bench_tcp(seconds, rounds):
    servers = {"signpost": signpost, "nsd": nsd, "knot": knot}
    with serving(servers, SERVICES, INSTANCES) as (started, directory):
        results = interleaved(started, directory, MIXES, seconds, rounds, "tcp")
    table("DNS over TCP", "query", results, MIXES, servers, ["knot", "nsd"])


def bench_sizes(seconds, rounds):
    """Measures at several sizes of the zone; returns medians in microseconds by mix, server and size."""
    from statistics import median

    servers = {"signpost": signpost, "nsd": nsd, "knot": knot, "bind": bind}
    costs = {}
    for size in SIZES:
        with serving(servers, size, SIZE_INSTANCES) as (started, directory):
            results = interleaved(started, directory, MIXES, seconds, rounds)
            occupied = {server: resident_bytes(pid) for server, (pid, _) in started.items()}
        for key, measured in results.items():
            costs[(*key, size)] = median(cost for cost, _, _ in measured)
        table(f"{size:,} services × {SIZE_INSTANCES}", "query", results, MIXES, servers, ["nsd"])
        print()
        for server, count in occupied.items():
            print(f"- {server} at {size:,} services: {count / 2**20:,.0f} MiB, {count / size / SIZE_INSTANCES:,.0f} bytes by instance")
    return costs
