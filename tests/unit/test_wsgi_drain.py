"""The WSGI servers of the backends, in a process of their own, spoken to with plain sockets."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

import launcher

ROOT = Path(launcher.__file__).parents[1]
PATIENCE = 20.0  # seconds; a test waits for a condition, and fails when it does not come

WORKER = """
import json, logging, os, posix, sys
from launcher.worker import backends

name, control, gate_fd, keepalive, capacity, access, *fds = sys.argv[1:]
backend = backends.select(name)
backend.patch()
import socket
if name == "eventlet":
    from launcher.worker.backends.eventlet_wsgi import EventletServer as Server
else:
    from launcher.worker.backends.threading_wsgi import ThreadingServer as Server

logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
if access == "access":
    logging.getLogger("launcher.access").setLevel(logging.INFO)
gate = backend.event()
hoard = []


def say(word):
    os.write(int(control), word.encode() + b"\\n")


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
        posix.read(int(gate_fd), 1)
    if path == "/stream":
        environ["eventlet.minimum_write_chunk_size"] = 1
        body = stream()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
        return body
    if path == "/echo":
        body = [environ["wsgi.input"].read()]
    if path == "/environ":
        wanted = ("SERVER_PROTOCOL", "wsgi.multiprocess", "REMOTE_ADDR")
        body = [json.dumps({key: environ[key] for key in wanted}).encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return body


def serve():
    listeners = [socket.socket(fileno=int(fd)) for fd in fds]
    return Server(app, listeners, keepalive_timeout=float(keepalive), capacity=int(capacity))


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
    backend.wait_readable(int(control))
    words = os.read(int(control), 1000).decode().split()
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

    def __init__(self, backend: str, log: Path, listeners, keepalive=5.0, capacity=100, access=""):
        self.log = log
        self.control, theirs = socket.socketpair()
        self.control.settimeout(PATIENCE)
        gate, self.gate = os.pipe()
        fds = [sock.fileno() for sock in listeners]
        command = [sys.executable, "-c", WORKER]
        command += [str(word) for word in (backend, theirs.fileno(), gate, keepalive, capacity, access or "-", *fds)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
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


@pytest.fixture
def listener():
    with listening() as sock:
        yield sock


@pytest.fixture(params=["eventlet", "threading"])
def start(tmp_path, request):
    """Start workers; all of them must end well."""
    workers = []

    def begin(*listeners, **options):
        workers.append(Worker(request.param, tmp_path / "log", listeners, **options))
        return workers[-1]

    begin.backend = request.param
    yield begin
    for worker in workers:
        worker.close()


@pytest.fixture
def connect():
    """Make clients; they are closed at the end, unless a test did it."""
    clients = []

    def to(listener):
        client = socket.socket(listener.family)
        clients.append(client)
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())
        return client

    yield to
    for client in clients:
        client.close()


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


def test_clients_queued_before_the_first_accept_are_served(listener, start, connect):
    worker = start(listener)
    clients = [connect(listener) for _ in range(10)]
    for client in clients:
        ask(client)
    worker.tell("serve", "drain")
    answers = [Answer(client) for client in clients]
    assert [answer.status for answer in answers] == [200] * 10
    # Threads may have answered some before they were told to drain.
    assert start.backend == "threading" or all(answer.closes for answer in answers)


def test_clients_queued_behind_a_blocked_worker_are_served(listener, start, connect):
    worker = start(listener)
    worker.serve()
    blocker = connect(listener)
    ask(blocker, "/block")
    worker.expect("blocking")
    clients = [connect(listener) for _ in range(10)]
    for client in clients:
        ask(client)
    worker.tell("drain")
    worker.release()
    assert [Answer(client).status for client in (blocker, *clients)] == [200] * 11


def test_a_queued_client_that_asks_later_is_served(listener, start, connect):
    worker = start(listener)
    client = connect(listener)
    worker.tell("serve", "drain")
    worker.expect("serving")
    worker.expect("drained")
    assert get(client).status == 200


def test_an_idle_connection_is_not_slammed_and_its_next_response_says_close(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    assert not get(client).closes
    worker.drain()
    answer = get(client)
    assert (answer.status, answer.closes) == (200, True)
    seconds_until_closed(client)
    worker.expect("done")


def test_a_request_in_flight_finishes_and_its_response_says_close(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    ask(client, "/wait")
    worker.expect("waiting")
    worker.drain()
    worker.tell("open")
    answer = Answer(client)
    assert (answer.status, answer.closes) == (200, True)
    worker.expect("done")


def test_a_drained_worker_is_done_when_the_last_connection_is(listener, start, connect):
    worker = start(listener)
    worker.serve()
    first, last = connect(listener), connect(listener)
    ask(last, "/wait")
    worker.expect("waiting")
    get(first)
    worker.drain()
    get(first)
    seconds_until_closed(first)
    worker.tell("ping")
    worker.expect("pong")
    worker.tell("open")
    assert Answer(last).status == 200
    worker.expect("done")


def test_a_response_begun_before_the_drain_keeps_its_promise(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    ask(client, "/stream")
    response = HTTPResponse(client)
    response.begin()
    assert response.read(5) == b"first"
    worker.drain()
    worker.tell("open")
    assert response.read() == b"last"
    assert response.getheader("Connection") is None
    assert get(client).closes
    worker.expect("done")


def test_a_drained_worker_waits_for_an_idle_connection_no_longer_than_keepalive(listener, start, connect):
    worker = start(listener, keepalive=0.5)
    worker.serve()
    client = connect(listener)
    get(client)
    worker.drain()
    assert 0.3 < seconds_until_closed(client) < PATIENCE / 2
    worker.expect("done")


@pytest.mark.parametrize("asks_first", [True, False])
def test_an_idle_connection_is_closed_after_keepalive(listener, start, asks_first, connect):
    worker = start(listener, keepalive=0.5)
    worker.serve()
    client = connect(listener)
    if asks_first:
        get(client)
    assert 0.3 < seconds_until_closed(client) < PATIENCE / 2


def test_a_slow_request_is_not_cut_by_keepalive(listener, start, connect):
    worker = start(listener, keepalive=0.2)
    worker.serve()
    client, watch = connect(listener), connect(listener)
    ask(client, "/echo", "Content-Length: 2", method="POST")
    client.sendall(b"a")
    for _ in range(3):
        seconds_until_closed(watch)
        watch = connect(listener)
    client.sendall(b"b")
    assert Answer(client).body == b"ab"


def test_a_slow_response_is_not_cut_by_keepalive(listener, start, connect):
    worker = start(listener, keepalive=0.2)
    worker.serve()
    client, watch = connect(listener), connect(listener)
    ask(client, "/wait")
    worker.expect("waiting")
    seconds_until_closed(watch)
    worker.tell("open")
    assert Answer(client).status == 200


def test_after_the_drain_nobody_listens(start):
    with listening() as listener:
        worker = start(listener)
        worker.serve()
        address = listener.getsockname()
    worker.drain()
    worker.expect("done")
    with socket.socket() as client:
        assert client.connect_ex(address) == errno.ECONNREFUSED


def test_a_worker_leaves_and_the_others_on_its_socket_lose_nothing(listener, start, connect):
    leaver, stayer = start(listener), start(listener)
    leaver.serve()
    stayer.serve()
    seen = set()
    until(lambda: seen.add(get(connect(listener)).body) or len(seen) == 2)
    leaver.tell("drain")
    answers = [get(connect(listener), "/", "Connection: close") for _ in range(200)]
    assert {answer.status for answer in answers} == {200}
    leaver.expect("drained")
    assert get(connect(listener)).body == str(stayer.process.pid).encode()


def test_a_full_worker_leaves_clients_to_the_others(listener, start, connect):
    full = start(listener, capacity=1)
    full.serve()
    first, second = connect(listener), connect(listener)
    ask(first, "/wait")
    full.expect("waiting")
    ask(second)
    other = start(listener)
    other.serve()
    assert Answer(second).body == str(other.process.pid).encode()


@pytest.mark.parametrize("start", ["threading"], indirect=True)
def test_who_asks_nothing_takes_no_thread(listener, start, connect):
    worker = start(listener, capacity=1, keepalive=2 * PATIENCE)
    worker.serve()
    silent = [connect(listener) for _ in range(3)]
    assert get(connect(listener)).status == 200
    assert [get(client).status for client in silent] == [200] * 3


def test_capacity_comes_back(listener, start, connect):
    worker = start(listener, capacity=1)
    worker.serve()
    for _ in range(3):
        assert get(connect(listener), "/", "Connection: close").status == 200


def test_a_unix_socket(tmp_path, start, connect):
    with listening(socket.AF_UNIX, str(tmp_path / "socket")) as listener:
        worker = start(listener)
        worker.serve()
        first, second = connect(listener), connect(listener)
        ask(first, "/wait")
        worker.expect("waiting")
        assert get(second).status == 200
        worker.drain()
        worker.tell("open")
        assert Answer(first).closes
        assert get(second).closes
        worker.expect("done")


def test_ipv6_and_several_listeners(listener, start, connect):
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with probe as sixth:
        worker = start(listener, sixth)
        worker.serve()
        assert b'"::1"' in get(connect(sixth), "/environ").body
        assert get(connect(listener)).status == 200
        waiting = [connect(listener), connect(sixth)]
        worker.drain()
        assert [get(client).closes for client in waiting] == [True, True]


def test_a_failure_is_logged_and_the_client_learns_nothing_of_it(listener, start, connect):
    worker = start(listener)
    worker.serve()
    answer = get(connect(listener), "/error")
    assert (answer.status, answer.closes) == (500, True)
    assert b"secret" not in answer.body
    worker.wait_for_log("RuntimeError: secret")
    log = worker.log.read_text()
    assert re.search("ERROR launcher.wsgi .*/error", log)
    assert log.count("Traceback") == 1


def test_an_application_that_exits_ends_its_connection_only(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    ask(client, "/exit")
    seconds_until_closed(client)
    assert get(connect(listener)).status == 200
    assert "SystemExit: 3" in worker.log.read_text()


def test_a_request_whose_client_has_gone_away_finishes_before_the_end(listener, start, connect):
    worker = start(listener, keepalive=0.3)
    worker.serve()
    client, idle = connect(listener), connect(listener)
    get(idle)
    ask(client, "/wait")
    worker.expect("waiting")
    client.close()
    worker.drain()
    seconds_until_closed(idle)
    worker.tell("ping")
    worker.expect("pong")
    worker.tell("open")
    worker.expect("done")


def test_a_client_that_goes_away_is_no_failure(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    ask(client, "/stream")
    assert client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    worker.tell("open")
    worker.drain()
    worker.expect("done")
    assert "ERROR" not in worker.log.read_text()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_what_is_no_request_is_refused_without_a_sound(tmp_path, start, family, connect):
    address = str(tmp_path / "socket") if family == socket.AF_UNIX else ("127.0.0.1", 0)
    with listening(family, address) as listener:
        worker = start(listener)
        worker.serve()
        client = connect(listener)
        client.sendall(b"\x16\x03\x01 nonsense HTTP/7.Z\r\n\r\n")
        assert Answer(client).status == 400
        assert get(connect(listener)).status == 200
        assert "Traceback" not in worker.log.read_text()


def test_a_response_survives_a_body_that_nobody_read(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    size = 8 << 20  # more than the buffers of both ends
    ask(client, "/", f"Content-Length: {size}", "Connection: close", method="POST")
    client.sendall(bytes(size))
    assert Answer(client).status == 200


def test_no_descriptor_left_means_wait_not_die(listener, start, connect):
    worker = start(listener)
    worker.serve()
    get(connect(listener), "/", "Connection: close")
    worker.tell("exhaust")
    worker.expect("exhausted")
    client = connect(listener)
    ask(client)
    worker.wait_for_log("cannot accept")
    busy = cpu_seconds(worker.process.pid)
    time.sleep(1)  # the measure, not a hope: CPU in one second
    assert cpu_seconds(worker.process.pid) - busy < 0.15
    worker.tell("relax")
    assert Answer(client).status == 200
    assert worker.log.read_text().count("cannot accept") == 1


def test_a_drain_without_descriptors_loses_nobody(listener, start, connect):
    worker = start(listener)
    worker.serve()
    get(connect(listener), "/", "Connection: close")
    worker.tell("exhaust")
    worker.expect("exhausted")
    clients = [connect(listener) for _ in range(3)]
    for client in clients:
        ask(client)
    worker.wait_for_log("cannot accept")
    worker.tell("begin-drain", "ping")
    worker.expect("pong")
    worker.tell("relax", "drain")
    assert [Answer(client).status for client in clients] == [200] * 3
    worker.expect("drained")
    worker.expect("done")


OVERSLEPT = """
import socket, time
from launcher.worker.backends.threading_wsgi import ThreadingServer
server = ThreadingServer(None, [socket.create_server(("127.0.0.1", 0))], keepalive_timeout=5)
server._acceptors[0].resume_at = time.monotonic()  # it is looked at a moment too early, and a moment later it is over
server.draining = True
assert server._patience() is not None, "sleeps for ever"
server.drain()
server.wait()
"""


def test_a_drain_that_waits_for_descriptors_does_not_oversleep():
    subprocess.run(
        [sys.executable, "-c", OVERSLEPT], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=60
    )


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_environment_says_what_is_so(listener, start, connect):
    worker = start(listener)
    worker.serve()
    body = get(connect(listener), "/environ").body
    assert body == b'{"SERVER_PROTOCOL": "HTTP/1.1", "wsgi.multiprocess": true, "REMOTE_ADDR": "127.0.0.1"}'


def test_access_lines_are_off_by_default(listener, start, connect):
    worker = start(listener)
    worker.serve()
    get(connect(listener), "/", "Connection: close")
    worker.drain()
    worker.expect("done")
    assert "launcher.access" not in worker.log.read_text()


def test_access_lines_escape_what_a_client_sent(listener, start, connect):
    worker = start(listener, access="access")
    worker.serve()
    get(connect(listener), "/\x1b[31m")
    worker.wait_for_log(r'INFO launcher.access 127.0.0.1 "GET /\x1b[31m HTTP/1.1" 200')
