"""Stands before a Mesos master: speaks TLS, wants a certificate of its clients, and a login as DC/OS has it.

Arguments: the master's port, and a directory with ca.pem, server.pem, server.key and account.pub, the public key of
the account. Prints its own port. OpenSSL checks the signatures.
"""

import base64
import http.client
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile

MASTER, FILES = int(sys.argv[1]), pathlib.Path(sys.argv[2])
TOKEN = "a-token"


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def is_signed(token, uid):
    """Tells whether a token is the account's and says who it is."""
    head, claims, signature = token.split(".")
    with tempfile.NamedTemporaryFile() as file:
        file.write(decoded(signature))
        file.flush()
        verify = ["openssl", "dgst", "-sha256", "-verify", FILES / "account.pub", "-signature", file.name]
        good = subprocess.run(verify, input=f"{head}.{claims}".encode(), capture_output=True).returncode == 0
    return good and json.loads(decoded(head))["alg"] == "RS256" and json.loads(decoded(claims))["uid"] == uid


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/login":
            said = json.loads(body)
            good = is_signed(said["token"], said["uid"])
            self.answer(200 if good else 401, json.dumps({"token": TOKEN} if good else {}).encode())
        else:
            self.pass_on(body)

    def do_GET(self):
        self.pass_on(None)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self, body):
        if self.headers.get("Authorization") != f"token={TOKEN}":
            self.answer(401, b"who are you?")
            return
        master = http.client.HTTPConnection("127.0.0.1", MASTER)
        master.request(self.command, self.path, body)
        answer = master.getresponse()
        self.send_response(answer.status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(1 << 16):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FILES / "server.pem", FILES / "server.key")
context.load_verify_locations(FILES / "ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
