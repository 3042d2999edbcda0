#!/usr/bin/env python3
"""Measures how soon a task that a Mesos master tells of is answered by DNS and routed by the proxy.

A master that speaks the operator API adds one task after the other to a cluster of 1,000; after each event queries
are sent, one after the other, until one is answered, and for every other task requests until one gets through.
signpost runs on core 0, the master and the clients on core 1.

Needs: cargo build --release.
Usage: bench/events.py [--tasks 300]
"""

import argparse
import http.client
import http.server
import json
import os
import pathlib
import socket
import statistics
import struct
import tempfile
import threading
import time

from harness import LOAD_CORE, SERVER_CORE, SIGNPOST, free_port, running, signpost_config, wait_for

CLUSTER = 1_000
PATIENCE = 10


class Master(http.server.BaseHTTPRequestHandler):
    """Answers a subscription with a stream of records, and a question for the state with a document."""

    protocol_version = "HTTP/1.1"
    streams = []
    first, document = b"", b""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        write(self.wfile, self.first)
        self.streams.append(self.wfile)
        threading.Event().wait()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.document)))
        self.end_headers()
        self.wfile.write(self.document)

    def log_message(self, *_):
        pass


class Upstream(Master):
    document = b"ok"


def write(stream, event):
    """Sends an event as RecordIO, in a chunk of its own."""
    record = str(len(event)).encode() + b"\n" + event
    stream.write(f"{len(record):x}\r\n".encode() + record + b"\r\n")
    stream.flush()


def task(number, port):
    ports = {"ports": [{"number": port, "protocol": "tcp", "name": "http"}]}
    return {
        "task_id": {"value": f"t{number}"},
        "framework_id": {"value": "f"},
        "agent_id": {"value": "agent-S1"},
        "name": f"t{number}",
        "state": "TASK_RUNNING",
        "discovery": {"visibility": "CLUSTER", "name": f"t{number}", "ports": ports},
    }


def cluster(port):
    framework = {"framework_info": {"id": {"value": "f"}, "name": "marathon", "hostname": "localhost"}}
    agent = {"agent_info": {"id": {"value": "agent-S1"}, "hostname": "a"}, "pid": "slave(1)@127.0.0.1:5051"}
    state = {
        "get_tasks": {"tasks": [task(number, port) for number in range(CLUSTER)]},
        "get_frameworks": {"frameworks": [framework]},
        "get_agents": {"agents": [agent]},
    }
    return {"type": "SUBSCRIBED", "subscribed": {"heartbeat_interval_seconds": 15.0, "get_state": state}}


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def query(sock, name):
    """Asks for the A records of a name; returns whether there are any."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    try:
        sock.send(struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
        return struct.unpack_from(">H", sock.recv(4096), 6)[0] > 0
    except ConnectionRefusedError:
        # It is still starting.
        return False


def routed(client, name):
    client.request("GET", "/", headers={"Host": name})
    answer = client.getresponse()
    answer.read()
    return answer.status == 200


def until(is_so):
    """Returns how long it takes until something is so, in µs."""
    begin = time.perf_counter()
    while not is_so():
        if time.perf_counter() - begin > PATIENCE:
            raise SystemExit("it never came")
    return (time.perf_counter() - begin) * 1e6


def measure(dns_port, proxy_port, upstream, tasks):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", dns_port))
    client = http.client.HTTPConnection("127.0.0.1", proxy_port)
    wait_for(lambda: query(sock, f"t{CLUSTER - 1}.marathon.mesos"), "the cluster")
    wait_for(lambda: Master.streams, "the stream")
    times = {"DNS answer": [], "routed request": []}
    for number in range(CLUSTER, CLUSTER + tasks):
        event = {"type": "TASK_ADDED", "task_added": {"task": task(number, upstream)}}
        write(Master.streams[-1], json.dumps(event).encode())
        name = f"t{number}.marathon.mesos"
        if number % 2 == 0:
            times["DNS answer"].append(until(lambda name=name: query(sock, name)))
        else:
            times["routed request"].append(until(lambda name=name: routed(client, name)))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    tasks = parser.parse_args().tasks
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    upstream = serve(Upstream)
    Master.first = json.dumps(cluster(upstream)).encode()
    Master.document = json.dumps({"frameworks": [], "slaves": []}).encode()
    master, dns_port, proxy_port = serve(Master), free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        config = signpost_config(
            pathlib.Path(name),
            dns=f'[dns]\nlisten = ["127.0.0.1:{dns_port}"]\n[[dns.zones]]\ndomain = "mesos"\nscheme = "mesos"\n',
            proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{proxy_port}"\n',
            sources=f'[sources.m.mesos]\nmasters = ["127.0.0.1:{master}"]\n',
        )
        with running(SERVER_CORE, SIGNPOST, "run", "--config", config):
            times = measure(dns_port, proxy_port, upstream, tasks)
    print("\n| from the event to | p50 µs | p99 µs | longest µs |\n|---|---|---|---|")
    for what, all in times.items():
        p99 = statistics.quantiles(all, n=100)[98]
        print(f"| {what} | {statistics.median(all):,.0f} | {p99:,.0f} | {max(all):,.0f} |")


if __name__ == "__main__":
    main()
