"""A real ZooKeeper server, and a client of few lines: it sends many requests at once and counts the replies.

A client that does more, such as kazoo, would spend more on a change than the server that is measured.
"""

import contextlib
import socket
import struct

from harness import LOAD_CORE, free_port, running, wait_for

JAVA = "/usr/bin/java"
JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
CREATE, GET_DATA, SET_DATA, MULTI, ADD_WATCH = 1, 4, 5, 14, 106
PERSISTENT_RECURSIVE = 1
WATCH_EVENT = -1
OPEN_TO_ALL = struct.pack(">ii", 1, 31) + b"\0\0\0\5world\0\0\0\6anyone"


@contextlib.contextmanager
def ensemble(directory):
    """Runs one server beside the load, which goes first; gives its port.

    Nothing is synced to disk and no snapshot is taken: it is the load, not what is measured.
    """
    port = free_port()
    config = directory / "zookeeper.cfg"
    config.write_text(
        f"dataDir={directory}/zookeeper\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=2000\n"
        "maxClientCnxns=0\n4lw.commands.whitelist=srvr\nadmin.enableServer=false\n"
    )
    options = ["-Xmx1g", "-Xms1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += ["-Dzookeeper.forceSync=no", "-Dzookeeper.snapCount=100000000"]
    options += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
    server = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    with running(LOAD_CORE, "chrt", "--idle", "0", JAVA, *options, "-cp", JARS, server, config):
        wait_for(lambda: serves(port), "ZooKeeper")
        yield port


def serves(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as sock:
        sock.sendall(b"srvr")
        return b"Mode: " in sock.recv(4096, socket.MSG_WAITALL)
    return False


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">i", len(value)) + value


class Client:
    """A session: what is put is sent with the next `turn`, which also takes the replies that are there."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = struct.pack(">iqiqi", 0, 0, 40_000, 0, 16) + bytes(16)
        self.sock.sendall(text(hello))
        length = struct.unpack(">i", self.sock.recv(4, socket.MSG_WAITALL))[0]
        self.sock.recv(length, socket.MSG_WAITALL)
        self.sock.setblocking(False)
        self.sent = self.replied = 0
        self.outgoing, self.incoming = bytearray(), bytearray()
        # The paths that watches have told of and nobody has taken yet.
        self.events = []

    def put(self, kind, body):
        self.sent += 1
        self.outgoing += struct.pack(">iii", len(body) + 8, self.sent, kind) + body

    def create(self, path, data=b""):
        self.put(CREATE, text(path) + text(data) + OPEN_TO_ALL + bytes(4))

    def set_all(self, records):
        """Sets the data of several znodes in one request: as many changes and events, and less work for the server."""
        body = b"".join(
            struct.pack(">i?i", SET_DATA, False, -1) + text(path) + text(data) + struct.pack(">i", -1)
            for path, data in records
        )
        self.put(MULTI, body + struct.pack(">i?i", -1, True, -1))

    def get_data(self, path):
        self.put(GET_DATA, text(path) + b"\0")

    def watch_below(self, path):
        self.put(ADD_WATCH, text(path) + struct.pack(">i", PERSISTENT_RECURSIVE))

    def pending(self):
        return self.sent - self.replied

    def turn(self):
        """Sends and receives what is possible at once."""
        with contextlib.suppress(BlockingIOError):
            while self.outgoing:
                del self.outgoing[: self.sock.send(self.outgoing)]
        with contextlib.suppress(BlockingIOError):
            while received := self.sock.recv(1 << 18):
                self.incoming += received
            raise ConnectionError("ZooKeeper has closed the connection")
        at = 0
        while at + 20 <= len(self.incoming):
            length, xid, _, error = struct.unpack_from(">iiqi", self.incoming, at)
            if at + 4 + length > len(self.incoming):
                break
            if xid == WATCH_EVENT:
                # The type, the state and the path of the znode.
                self.events.append(bytes(self.incoming[at + 32 : at + 4 + length]))
            elif error:
                raise ConnectionError(f"ZooKeeper has refused a request: {error}")
            else:
                self.replied += 1
            at += 4 + length
        del self.incoming[:at]

    def finish(self):
        """Waits until all requests are answered."""
        wait_for(lambda: self.turn() or not self.pending(), "the replies of ZooKeeper")

    def close(self):
        self.finish()
        self.sock.close()
