#!/usr/bin/env python3
"""Measures how soon a task that a Mesos master, or a Marathon, tells of is answered by DNS and routed by the proxy.

A master that speaks the operator API adds one task after the other to a cluster of 1,000, and a Marathon with 1,000
apps and more tells by its events that an app has its first task, which is then read; after each event queries
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


class Marathon(Master):
    """Tells events, and has an app, or all, read."""

    streams = []
    apps = {}

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v2/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.streams.append(self.wfile)
            threading.Event().wait()
        name = path.removeprefix("/v2/apps")
        answer = {"app": self.apps[name]} if name else {"apps": list(self.apps.values())}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @classmethod
    def tell(cls, number, port):
        """Has an app have its first task, and tells that its status has changed."""
        cls.apps[f"/t{number}"]["tasks"] = [
            {"id": f"t{number}.1", "host": "127.0.0.1", "ports": [port], "state": "TASK_RUNNING",
             "startedAt": "2016-01-01T00:00:00.000Z"}
        ]
        event = json.dumps({"eventType": "status_update_event", "appId": f"/t{number}"})
        text = f"event: status_update_event\r\ndata: {event}\r\n\r\n".encode()
        stream = cls.streams[-1]
        stream.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        stream.flush()


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


def measure(dns_port, proxy_port, known, tasks, server, tell):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", dns_port))
    client = http.client.HTTPConnection("127.0.0.1", proxy_port)
    wait_for(lambda: query(sock, f"t{known}.marathon.mesos"), "the cluster")
    wait_for(lambda: server.streams, "the stream")
    times = {"DNS answer": [], "routed request": []}
    for number in range(CLUSTER, CLUSTER + tasks):
        tell(number)
        name = f"t{number}.marathon.mesos"
        if number % 2 == 0:
            times["DNS answer"].append(until(lambda name=name: query(sock, name)))
        else:
            times["routed request"].append(until(lambda name=name: routed(client, name)))
    return times


def run(source, known, tasks, server, tell):
    dns_port, proxy_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        config = signpost_config(
            pathlib.Path(name),
            dns=f'[dns]\nlisten = ["127.0.0.1:{dns_port}"]\n[[dns.zones]]\ndomain = "mesos"\nscheme = "mesos"\n',
            proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{proxy_port}"\n',
            sources=source,
        )
        with running(SERVER_CORE, SIGNPOST, "run", "--config", config):
            return measure(dns_port, proxy_port, known, tasks, server, tell)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    tasks = parser.parse_args().tasks
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    upstream = serve(Upstream)
    Master.first = json.dumps(cluster(upstream)).encode()
    Master.document = json.dumps({"frameworks": [], "slaves": []}).encode()
    ports = {"portDefinitions": [{"port": 0, "protocol": "tcp", "name": "http"}], "labels": {}}
    Marathon.apps = {f"/t{n}": {"id": f"/t{n}", "tasks": [], **ports} for n in range(CLUSTER + tasks)}
    master, marathon = serve(Master), serve(Marathon)

    def add(number):
        event = {"type": "TASK_ADDED", "task_added": {"task": task(number, upstream)}}
        write(Master.streams[-1], json.dumps(event).encode())

    Marathon.apps["/t0"]["tasks"] = [
        {"id": "t0.1", "host": "127.0.0.1", "ports": [upstream], "state": "TASK_RUNNING",
         "startedAt": "2016-01-01T00:00:00.000Z"}
    ]
    of_master = f'[sources.m.mesos]\nmasters = ["127.0.0.1:{master}"]\n'
    of_marathon = f'[sources.m.marathon]\nurls = ["http://127.0.0.1:{marathon}"]\nsuffix = "marathon"\n'
    all_times = {
        "a master's event": run(of_master, CLUSTER - 1, tasks, Master, add),
        "Marathon's event": run(of_marathon, 0, tasks, Marathon, lambda number: Marathon.tell(number, upstream)),
    }
    print("\n| from | to | p50 µs | p99 µs | longest µs |\n|---|---|---|---|---|")
    for source, times in all_times.items():
        for what, all_of_them in times.items():
            p99 = statistics.quantiles(all_of_them, n=100)[98]
            figures = f"{statistics.median(all_of_them):,.0f} | {p99:,.0f} | {max(all_of_them):,.0f}"
            print(f"| {source} | {what} | {figures} |")


if __name__ == "__main__":
    main()
