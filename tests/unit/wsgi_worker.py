"""A WSGI server of either backend in a process of its own, and clients with plain sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPResponse
from math import inf
from pathlib import Path

import launcher

ROOT = Path(launcher.__file__).parents[1]
PATIENCE = 20.0  # seconds; a test waits for a condition, and fails when it does not come

WORKER = """
import json, logging, os, posix, sys
from launcher.worker import backends

given = json.loads(sys.argv[1])
control, gate_fd, fds = given["control"], given["gate"], given["listeners"]
backend = backends.select(given["backend"])
backend.patch()
import socket
if given["backend"] == "eventlet":
    from launcher.worker.backends.eventlet_wsgi import EventletServer as Server
else:
    from launcher.worker.backends.threading_wsgi import ThreadingServer as Server

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
if given["access"]:
    logging.getLogger("launcher.access").setLevel(logging.INFO)
if given["tls"]:
    from launcher.service.tls import TLS

    tls = TLS(**given["tls"])
else:
    tls = None
gate = backend.event()
hoard = []


def say(word):
    os.write(control, word.encode() + b"\\n")


def stream():
    yield b"first"
    gate.wait()
    yield b"last"


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = [str(os.getpid()).encode()]
    if path == "/error":
        raise RuntimeError("secret")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/wait":
        say("waiting")
        gate.wait()
    if path == "/block":
        say("blocking")
        posix.read(gate_fd, 1)
    if path == "/stream":
        environ["eventlet.minimum_write_chunk_size"] = 1
        body = stream()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return body
    if path == "/echo":
        body = [environ["wsgi.input"].read()]
    if path == "/environ":
        body = [json.dumps({key: value for key, value in environ.items() if isinstance(value, (str, bool))}).encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body


def serve():
    listeners = [socket.socket(fileno=fd) for fd in fds]
    terms = backends.Terms(given["keepalive"], given["patience"], tls, given["last"], given["capacity"])
    return Server(app, listeners, terms)


def wait():
    server.wait()
    say("done")


def exhaust():
    try:
        while True:
            hoard.append(posix.dup(0))
    except OSError:
        say("exhausted")


words = []
while "quit" not in words:
    backend.wait_readable(control)
    words = os.read(control, 1000).decode().split()
    for word in words:
        if word == "serve":
            server = serve()
            say("serving")
        elif word == "drain":
            server.drain()
            say("drained")
            backend.spawn(wait)
        elif word == "begin-drain":
            backend.spawn(server.drain)
        elif word == "open":
            gate.set()
        elif word == "renew":
            tls.renew()
            say("renewed")
        elif word == "ping":
            say("pong")
        elif word == "exhaust":
            exhaust()
        elif word == "relax":
            while hoard:
                posix.close(hoard.pop())
"""


class Worker:
    """A server process and the line to it."""

    def __init__(self, backend: str, log: Path, listeners, **options):
        self.log = log
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE)
        gate, self.gate = os.pipe()
        fds = [sock.fileno() for sock in listeners]
        own = {"backend": backend, "control": theirs.fileno(), "gate": gate, "listeners": fds}
        terms = {"keepalive": 5.0, "patience": inf, "last": None, "capacity": 100, "tls": None}
        given = {**terms, "access": False, **own, **options}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, json.dumps(given)],
                pass_fds=[theirs.fileno(), gate, *fds],
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        theirs.close()
        os.close(gate)
        self.said = self.control.makefile("r")

    def tell(self, *words):
        self.control.sendall(" ".join(words).encode() + b"\n")

    def expect(self, word):
        assert self.said.readline().strip() == word, self.log.read_text()

    def serve(self):
        self.tell("serve")
        self.expect("serving")

    def drain(self):
        self.tell("drain")
        self.expect("drained")

    def release(self):
        os.write(self.gate, b".")

    def wait_for_log(self, text):
        until(lambda: text in self.log.read_text())

    def close(self):
        self.tell("open", "quit")
        code = self.process.wait(PATIENCE)
        self.said.close()
        self.control.close()
        os.close(self.gate)
        assert code == 0, self.log.read_text()


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@contextmanager
def listening(family=socket.AF_INET, address=("127.0.0.1", 0)):
    with socket.socket(family) as sock:
        sock.bind(address)
        sock.listen(128)
        yield sock


def ask(client, path="/", *headers, method="GET"):
    client.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]).encode())


class Answer:
    """A whole response."""

    def __init__(self, client):
        with HTTPResponse(client) as response:
            response.begin()
            self.status = response.status
            self.closes = response.getheader("Connection") == "close"
            self.body = response.read()


def get(client, path="/", *headers):
    ask(client, path, *headers)
    return Answer(client)


def seconds_until_closed(client):
    start = time.monotonic()
    assert client.recv(1) == b""
    return time.monotonic() - start
