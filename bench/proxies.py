"""HTTP forwarding: signpost next to nginx and HAProxy."""

import contextlib
import pathlib
import re
import socket
import tempfile

from harness import (
    LOAD_CORE, SERVER_CORE, SIGNPOST, cpu_seconds, free_port, load, running, signpost_config, table, wait_for
)

CONNECTIONS = 64
UPSTREAMS = 4


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
    table("HTTP proxy", "request", results, ["GET"], servers, ["nginx"])
