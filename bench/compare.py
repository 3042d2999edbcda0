#!/usr/bin/env python3
"""Compares signpost with NSD, Knot and BIND (DNS over UDP) and with nginx and HAProxy (HTTP proxy) on one core.

Each server runs alone on core 0, the load and the upstreams on core 1. The servers take turns, several
rounds of each, and what counts is CPU per operation: user and system time of the server's processes
over completed operations. Wall-clock figures would say more about the machine than about the server.

For DNS there is an echo too (echo.c), which shows what the system calls alone cost.

Needs: cargo build --release, and Debian's gcc dnsperf nsd knot bind9 nginx-light haproxy wrk.
Usage: bench/compare.py [dns|proxy|all] [--seconds 5] [--rounds 5]
"""

import argparse
import contextlib
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIGNPOST = ROOT / "target/release/signpost"
SERVER_CORE, LOAD_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")

SERVICES = 2000
INSTANCES = 4
CONNECTIONS = 64
UPSTREAMS = 4


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process and all its descendants."""
    total = 0.0
    for pid in [pid, *descendants(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def descendants(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


def wait_for(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} didn't come up")
        time.sleep(0.05)


@contextlib.contextmanager
def running(core, *command):
    """Runs a server in the foreground on one core; it is stopped by its id."""
    process = subprocess.Popen(
        ["taskset", "-c", core, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def load(*command):
    run = subprocess.run(
        ["taskset", "-c", LOAD_CORE, *map(str, command)], capture_output=True, text=True
    )
    if run.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{run.stdout}{run.stderr}")
    return run.stdout


# --- DNS ---------------------------------------------------------------------------------------------


def address(service, instance):
    return f"10.{service // 250}.{service % 250}.{instance + 1}"


def signpost_config(directory, **sections):
    config = directory / "signpost.toml"
    text = "workers = 1\n"
    text += f'[admin]\nlisten = "127.0.0.1:{free_port()}"\n[registry]\nstate_dir = "{directory}/state"\n'
    text += "".join(sections.values())
    config.write_text(text)
    return config


def write_zone(directory):
    """Writes the same services for signpost (a list) and for NSD (a zone file)."""
    services, zone = [], ["$ORIGIN svc.internal.", "$TTL 5"]
    zone += ["@ SOA ns hostmaster 1 3600 600 604800 5", "@ NS ns", "ns A 127.0.0.1"]
    for service in range(SERVICES):
        name = f"s{service}"
        instances = ", ".join(
            f'{{ id = "i{n}", address = "{address(service, n)}", port = 9000 }}'
            for n in range(INSTANCES)
        )
        services.append(f'[[services]]\nname = "{name}"\ninstances = [{instances}]\n')
        for n in range(INSTANCES):
            zone.append(f"{name} A {address(service, n)}")
            zone.append(f"_{name}._tcp SRV 0 1 9000 i{n}.{name}")
            zone.append(f"i{n}.{name} A {address(service, n)}")
    (directory / "services.toml").write_text("".join(services))
    (directory / "svc.zone").write_text("\n".join(zone) + "\n")


def write_queries(directory):
    """Writes the query mixes; the order is fixed, so that every server gets the same."""
    names = [f"s{(n * 7919) % SERVICES}" for n in range(20000)]
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
    return list(mixes)


def dns_signpost(directory, port):
    config = signpost_config(
        directory,
        dns=f'[dns]\nlisten = ["127.0.0.1:{port}"]\n',
        proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{free_port()}"\n',
        sources=f'[sources.list.file]\npath = "{directory}/services.toml"\n',
    )
    return [SIGNPOST, "run", "--config", config]


def dns_nsd(directory, port):
    config = directory / "nsd.conf"
    config.write_text(
        f"""server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{directory}"
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


def dns_knot(directory, port):
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
    storage: "{directory}"
    file: svc.zone
    zonefile-sync: -1
    journal-content: none
"""
    )
    return ["/usr/sbin/knotd", "-c", config]


def dns_bind(directory, port):
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
zone "svc.internal" {{ type primary; file "{directory}/svc.zone"; }};
"""
    )
    return ["/usr/sbin/named", "-f", "-n", "1", "-c", config]


def dns_echo(directory, port):
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


def dns_answers(port):
    query = bytes.fromhex("123400000001000000000000") + b"\x02s1\x03svc\x08internal\x00\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(query, ("127.0.0.1", port))
            answer = sock.recv(1500)
        except OSError:
            return False
        return int.from_bytes(answer[6:8], "big") == INSTANCES


def measure_dns(pid, port, queries, seconds):
    before = cpu_seconds(pid)
    out = load(
        "dnsperf", "-s", "127.0.0.1", "-p", port, "-d", queries, "-l", seconds, "-c", 8, "-T", 1, "-q", 100
    )
    used = cpu_seconds(pid) - before
    completed = int(re.search(r"Queries completed:\s+(\d+)", out)[1])
    lost = int(re.search(r"Queries lost:\s+(\d+)", out)[1])
    return used / completed * 1e6, completed / seconds, lost


def bench_dns(seconds, rounds):
    servers = {
        "signpost": dns_signpost,
        "echo": dns_echo,
        "nsd": dns_nsd,
        "knot": dns_knot,
        "bind": dns_bind,
    }
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        write_zone(directory)
        mixes = write_queries(directory)
        started = {}
        for server, command in servers.items():
            own = directory / server
            own.mkdir()
            for shared in ("services.toml", "svc.zone"):
                (own / shared).write_text((directory / shared).read_text())
            port = free_port()
            pid = stack.enter_context(running(SERVER_CORE, *command(own, port)))
            up = echoes if server == "echo" else dns_answers
            wait_for(lambda port=port, up=up: up(port), server)
            started[server] = (pid, port)
        results = {(mix, server): [] for mix in mixes for server in servers}
        for _ in range(rounds):
            for mix in mixes:
                for server, (pid, port) in started.items():
                    one = measure_dns(pid, port, directory / f"queries.{mix}", seconds)
                    results[mix, server].append(one)
    print("\n| DNS over UDP | server | CPU µs/query | ratio to nsd | queries/s | lost |")
    print("|---|---|---|---|---|---|")
    table(results, mixes, servers, "nsd")


# --- Proxy -------------------------------------------------------------------------------------------


def write_upstream(directory, ports):
    config = directory / "upstream.conf"
    body = "x" * 64
    listens = "".join(f"listen 127.0.0.1:{port} backlog=1024;\n" for port in ports)
    config.write_text(nginx_base(directory, "upstream") + f"""
  keepalive_requests 1000000000;
  server {{
    {listens}
    location / {{ return 200 "{body}"; }}
  }}
}}
""")
    return ["nginx", "-c", config, "-g", "daemon off;"]


def nginx_base(directory, name):
    return f"""worker_processes 1;
pid {directory}/{name}.pid;
error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {directory}/{name}.body;
  proxy_temp_path {directory}/{name}.proxy;
  fastcgi_temp_path {directory}/{name}.fastcgi;
  uwsgi_temp_path {directory}/{name}.uwsgi;
  scgi_temp_path {directory}/{name}.scgi;
  tcp_nodelay on;
"""


def proxy_signpost(directory, port, upstreams):
    instances = ", ".join(f'"127.0.0.1:{upstream}"' for upstream in upstreams)
    (directory / "services.toml").write_text(
        f'[[services]]\nname = "web"\ninstances = [{instances}]\n'
    )
    config = signpost_config(
        directory,
        dns="[dns]\nlisten = []\n",
        proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{port}"\n',
        sources=f'[sources.list.file]\npath = "{directory}/services.toml"\n',
    )
    return [SIGNPOST, "run", "--config", config]


def proxy_nginx(directory, port, upstreams):
    servers = "".join(f"server 127.0.0.1:{upstream};\n" for upstream in upstreams)
    config = directory / "proxy.conf"
    config.write_text(nginx_base(directory, "proxy") + f"""
  keepalive_requests 1000000000;
  upstream web {{
    {servers}
    keepalive {CONNECTIONS * 2};
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
""")
    return ["nginx", "-c", config, "-g", "daemon off;"]


def proxy_haproxy(directory, port, upstreams):
    servers = "".join(
        f"  server s{n} 127.0.0.1:{upstream}\n" for n, upstream in enumerate(upstreams)
    )
    config = directory / "haproxy.cfg"
    config.write_text(f"""global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend web
  bind 127.0.0.1:{port}
  default_backend web
backend web
  balance random(2)
{servers}""")
    return ["haproxy", "-db", "-f", config]


def http_answers(port):
    request = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2) as sock:
            sock.sendall(request)
            return sock.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def measure_proxy(pid, port, seconds):
    before = cpu_seconds(pid)
    url = f"http://127.0.0.1:{port}/"
    out = load("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", "Host: web", url)
    used = cpu_seconds(pid) - before
    completed = int(re.search(r"(\d+) requests in", out)[1])
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    failed = (int(wrong[1]) if wrong else 0) + sum(map(int, re.findall(r"\d+", errors[1] if errors else "")))
    return used / completed * 1e6, completed / seconds, failed


def bench_proxy(seconds, rounds):
    servers = {"signpost": proxy_signpost, "nginx": proxy_nginx, "haproxy": proxy_haproxy}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        upstreams = [free_port() for _ in range(UPSTREAMS)]
        stack.enter_context(running(LOAD_CORE, *write_upstream(directory, upstreams)))
        wait_for(lambda: http_answers(upstreams[-1]), "upstream")
        started = {}
        for server, command in servers.items():
            own = directory / server
            own.mkdir()
            port = free_port()
            pid = stack.enter_context(running(SERVER_CORE, *command(own, port, upstreams)))
            wait_for(lambda port=port: http_answers(port), server)
            started[server] = (pid, port)
        results = {("GET", server): [] for server in servers}
        for _ in range(rounds):
            for server, (pid, port) in started.items():
                results["GET", server].append(measure_proxy(pid, port, seconds))
    print("\n| HTTP proxy | server | CPU µs/request | ratio to nginx | requests/s | failed |")
    print("|---|---|---|---|---|---|")
    table(results, ["GET"], servers, "nginx")


def table(results, kinds, servers, reference):
    """Prints medians over the rounds, with the spread of the CPU figure."""
    for kind in kinds:
        base = statistics.median(cost for cost, _, _ in results[kind, reference])
        for server in servers:
            rounds = results[kind, server]
            costs = [cost for cost, _, _ in rounds]
            cost = statistics.median(costs)
            rate = statistics.median(rate for _, rate, _ in rounds)
            lost = sum(lost for _, _, lost in rounds)
            spread = f"{min(costs):.2f}–{max(costs):.2f}"
            print(f"| {kind} | {server} | {cost:.2f} ({spread}) | {cost / base:.2f} | {rate:,.0f} | {lost} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["dns", "proxy", "all"], default="all")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if not SIGNPOST.exists():
        raise SystemExit("build it first: cargo build --release")
    if args.what in ("dns", "all"):
        bench_dns(args.seconds, args.rounds)
    if args.what in ("proxy", "all"):
        bench_proxy(args.seconds, args.rounds)


if __name__ == "__main__":
    main()
