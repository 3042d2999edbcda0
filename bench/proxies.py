"""Proxies and the servers behind them: how each is configured and started."""

import socket

from harness import SIGNPOST, free_port, signpost_config

CONNECTIONS = 64
UPSTREAMS = 4


def write_upstream(directory, ports):
    """Writes the servers behind the proxies: bodies of 64 bytes, 4 KiB and 1 MiB, at all of 127.0.0.0/8."""
    (directory / "files").mkdir()
    (directory / "files/1m").write_bytes(b"x" * (1 << 20))
    config = directory / "upstream.conf"
    listens = "".join(f"listen 0.0.0.0:{port} backlog=4096;\n" for port in ports)
    config.write_text(nginx_base(directory, "upstream") + f"""
  keepalive_requests 1000000000;
  sendfile on;
  server {{
    {listens}
    location / {{ return 200 "{"x" * 64}"; }}
    set $kibibyte "{"x" * 1024}";
    location = /4k {{ return 200 "$kibibyte$kibibyte$kibibyte$kibibyte"; }}
    location = /1m {{ root {directory}/files; }}
  }}
}}
""")
    return ["nginx", "-c", config, "-g", "daemon off;"]


def nginx_base(directory, name):
    return f"""worker_processes 1;
pid {directory}/{name}.pid;
error_log /dev/null crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {directory}/{name}.body;
  proxy_temp_path {directory}/{name}.proxy;
  fastcgi_temp_path {directory}/{name}.fastcgi;
  uwsgi_temp_path {directory}/{name}.uwsgi;
  scgi_temp_path {directory}/{name}.scgi;
  tcp_nodelay on;
  keepalive_timeout 1h;
"""


def proxy_signpost(directory, port, upstreams, log=False, services=None):
    """Configures signpost; `services` are lists of addresses by name, instead of `web` at the upstreams."""
    services = services or {"web": [f"127.0.0.1:{upstream}" for upstream in upstreams]}
    texts = (
        f'[[services]]\nname = "{name}"\ninstances = {addresses!r}\n' for name, addresses in services.items()
    )
    (directory / "services.toml").write_text("".join(texts))
    # Not where files are watched.
    (directory / "log").mkdir()
    log = f'[proxy.access_log]\nenabled = true\npath = "{directory}/log/access.log"\n' if log else ""
    config = signpost_config(
        directory,
        dns="[dns]\nlisten = []\n",
        proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{port}"\n[proxy.limits]\nconnections = 20000\n{log}',
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
      proxy_max_temp_file_size 0;
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
  # It would want two descriptors for each, though servers' connections are shared.
  no strict-limits
  maxconn 16384
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout http-keep-alive 1h
  timeout server 60s
  option forwardfor
  http-reuse always
  option splice-response
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
