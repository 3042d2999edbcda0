"""What changes: instances of services in a ZooKeeper, at a rate, and the look whether DNS has come after."""

import contextlib
import json
import os
import random
import socket
import time

import dns
from harness import LOAD_CORE
from zookeeper import Client

SERVICES, INSTANCES = 10_000, 10
CHANGES = 5_000
# How many znodes are created at a time; ZooKeeper takes 1,000 requests by default.
WINDOW = 800
WATCHED, UNWATCHED = "/service", "/nothing"
TICK = 0.002
# How many changes a request to ZooKeeper makes, and how many requests may be under way: were there many more, it
# would seldom come to the reads of signpost when it is late.
TOGETHER, REQUESTS = 10, 12
# The service whose address tells how far signpost has come.
MARKER = "marker"
MARKER_QUERY = bytes.fromhex("123400000001000000000000") + b"\6marker\3svc\x08internal\0\0\1\0\1"


def record(service, instance, choice):
    """Says what an instance may be: another weight each time, and one in ten is down."""
    return json.dumps({
        "host": dns.address(service, instance),
        "port": 9000,
        "weight": choice.randrange(1, 65_536),
        "state": "down" if choice.randrange(10) == 0 else "up",
    })


def change(root, choice):
    """Makes up a change: the path of a random instance, and what it shall be."""
    service, instance = choice.randrange(SERVICES), choice.randrange(INSTANCES)
    return f"{root}/s{service}/i{instance}", record(service, instance, choice)


def marker_record(number):
    return json.dumps({"host": f"10.255.{number // 250 % 250}.{number % 250}", "port": 9000})


def fill(port):
    """Creates all znodes, those that signpost watches and those that it doesn't."""
    client, choice = Client(port), random.Random(1)

    def create(path, data=""):
        client.create(path, data)
        while client.pending() >= WINDOW:
            client.turn()
            time.sleep(TICK)

    for root in [WATCHED, UNWATCHED]:
        create(root)
        create(f"{root}/{MARKER}")
        create(f"{root}/{MARKER}/i0", marker_record(0))
        for service in range(SERVICES):
            create(f"{root}/s{service}")
            for instance in range(INSTANCES):
                create(f"{root}/s{service}/i{instance}", record(service, instance, choice))
    client.close()


def step_back():
    """Leaves the core to dnsperf whenever that has something to do."""
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class Lag:
    """Changes the marker again and again, and looks when DNS answers by it; milliseconds in `found`."""

    def __init__(self, client, root, port, number):
        self.client, self.path, self.number = client, f"{root}/{MARKER}/i0", number
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.found, self.xid, self.since = [], None, None

    def look(self):
        if self.xid is None:
            self.number += 1
            self.client.set_all([(self.path, marker_record(self.number))])
            self.xid = self.client.sent
        elif self.since is None:
            if self.client.replied >= self.xid:
                self.since = time.monotonic()
        else:
            with contextlib.suppress(BlockingIOError):
                expected = bytes([10, 255, self.number // 250 % 250, self.number % 250])
                while answer := self.sock.recv(1500):
                    if expected in answer[len(MARKER_QUERY):]:
                        self.found.append((time.monotonic() - self.since) * 1e3)
                        self.xid = self.since = None
                        break
        if self.since is not None:
            self.sock.send(MARKER_QUERY)


def drive(zookeeper, root, port, seconds, seed):
    """Changes random instances below a root at the wanted rate; returns how many, and the lags."""
    client, choice = Client(zookeeper), random.Random(seed)
    lag = Lag(client, root, port, seed * 5_000)
    mirror = Client(zookeeper)
    if root == UNWATCHED:
        mirror.watch_below(root)
        mirror.finish()
    start, made = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        due = int(passed * CHANGES) - made
        while due >= TOGETHER and client.pending() < REQUESTS:
            client.set_all([change(root, choice) for _ in range(TOGETHER)])
            made, due = made + TOGETHER, due - TOGETHER
        client.turn()
        # Below the other root it is in vain, and asks all the same.
        lag.look()
        for path in mirror.events:
            mirror.get_data(path)
        mirror.events.clear()
        mirror.turn()
        time.sleep(TICK)
    client.close()
    mirror.close()
    return made, lag.found
