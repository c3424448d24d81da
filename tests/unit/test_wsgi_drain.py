"""The WSGI servers of the backends, in a process of their own, spoken to with plain sockets."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import time
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.unit.wsgi_worker import PATIENCE, ROOT, Answer, ask, get, listening, seconds_until_closed, until


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
from launcher.worker.backends import Terms
from launcher.worker.backends.threading_wsgi import ThreadingServer
server = ThreadingServer(None, [socket.create_server(("127.0.0.1", 0))], Terms(keepalive_timeout=5))
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
    environ = json.loads(get(connect(listener), "/environ").body)
    host, port = listener.getsockname()
    wanted = {
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": host,
        "wsgi.multiprocess": True,
        "wsgi.url_scheme": "http",
    }
    assert wanted.items() <= environ.items()
    assert "HTTPS" not in environ


def test_access_lines_are_off_by_default(listener, start, connect):
    worker = start(listener)
    worker.serve()
    get(connect(listener), "/", "Connection: close")
    worker.drain()
    worker.expect("done")
    assert "launcher.access" not in worker.log.read_text()


def test_access_lines_escape_what_a_client_sent(listener, start, connect):
    worker = start(listener, access=True)
    worker.serve()
    get(connect(listener), "/\x1b[31m")
    worker.wait_for_log(r'INFO launcher.access 127.0.0.1 "GET /\x1b[31m HTTP/1.1" 200')


def test_a_drain_may_grant_idle_connections_less_than_keepalive(listener, start, connect):
    worker = start(listener, keepalive=10 * PATIENCE, last=0.5)
    worker.serve()
    idle, busy = connect(listener), connect(listener)
    get(idle)
    ask(busy, "/wait")
    worker.expect("waiting")
    worker.drain()
    assert 0.3 < seconds_until_closed(idle) < PATIENCE / 2
    worker.tell("open")
    assert Answer(busy).closes
    worker.expect("done")


def test_what_a_client_sends_that_is_no_chunk_is_no_failure_of_ours(listener, start, connect):
    worker = start(listener)
    worker.serve()
    client = connect(listener)
    client.sendall(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert Answer(client).status in {400, 500}
    assert get(connect(listener)).status == 200
    assert "Traceback" not in worker.log.read_text()
