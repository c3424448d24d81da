"""Requests that come in slowly: a server waits for as long as they move."""

from __future__ import annotations

import select
import time
from math import inf

import pytest

from launcher.worker.backends.serving import LEAST_RATE, Patience
from tests.unit.wsgi_worker import PATIENCE, Answer, ask, get


def test_a_request_that_stops_coming_is_answered_with_408(listener, start, connect):
    worker = start(listener, patience=0.5, keepalive=10 * PATIENCE)
    worker.serve()
    clients = [connect(listener) for _ in range(2)]
    clients[0].sendall(b"G")
    clients[1].sendall(b"GET / HTTP/1.1\r\nHost: te")
    for client in clients:
        answer = Answer(client)
        assert (answer.status, answer.closes) == (408, True)
        assert client.recv(1) == b""
    assert get(connect(listener)).status == 200
    assert "ERROR" not in worker.log.read_text()


def test_what_trickles_ends_too(listener, start, connect):
    worker = start(listener, patience=0.5, keepalive=10 * PATIENCE)
    worker.serve()
    clients = [connect(listener) for _ in range(2)]
    clients[0].sendall(b"GET / HTTP/1.1\r\nX: ")
    clients[1].sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 9999\r\n\r\n")
    deadline = time.monotonic() + PATIENCE
    while clients := [client for client in clients if not ended(client)]:
        assert time.monotonic() < deadline
    assert get(connect(listener)).status == 200
    assert "ERROR" not in worker.log.read_text()


def ended(client):
    client.settimeout(0.05)
    try:
        client.sendall(b"x")
        return not client.recv(4096)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_the_next_request_has_all_the_time_again(listener, start, connect):
    worker = start(listener, patience=2.0)
    worker.serve()
    client = connect(listener)
    for _ in range(10):
        client.sendall(b"GET / HTTP/1.1\r\nHo")
        time.sleep(0.3)  # a part of the patience, in all more than it
        client.sendall(b"st: test\r\n\r\n")
        assert Answer(client).status == 200


def test_time_in_which_the_application_works_does_not_count(listener, start, connect):
    worker = start(listener, patience=0.3)
    worker.serve()
    client = connect(listener)
    client.sendall(b"GET /wait HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHo")
    worker.expect("waiting")
    assert Answer(stalled(connect, listener)).status == 408
    worker.tell("open")
    assert Answer(client).status == 200
    client.sendall(b"st: test\r\n\r\n")
    assert Answer(client).status == 200


def stalled(connect, listener):
    client = connect(listener)
    client.sendall(b"G")
    return client


BEGUN = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3000\r\n\r\n"


def test_a_drain_waits_for_what_has_stalled_no_longer_than_keepalive(listener, start, connect):
    worker = start(listener, patience=10 * PATIENCE, keepalive=0.5)
    worker.serve()
    for beginning in (b"GET / HT", BEGUN):
        connect(listener).sendall(beginning)
    trickler = connect(listener)
    trickler.sendall(b"GET / HTTP/1.1\r\nX: ")
    get(connect(listener), "/", "Connection: close")
    worker.drain()
    deadline = time.monotonic() + PATIENCE
    while not ended(trickler):
        assert time.monotonic() < deadline
    worker.expect("done")


def test_a_drain_waits_no_longer_for_what_it_accepts_itself(listener, start, connect):
    worker = start(listener, patience=10 * PATIENCE, keepalive=0.5, capacity=1)
    worker.serve()
    busy = connect(listener)
    ask(busy, "/wait")
    worker.expect("waiting")
    connect(listener).sendall(b"GET / HT")
    worker.drain()
    worker.tell("open")
    assert Answer(busy).status == 200
    worker.expect("done")


def test_a_drain_waits_for_what_keeps_coming(listener, start, connect):
    worker = start(listener, patience=10 * PATIENCE, keepalive=2.0)
    worker.serve()
    client, watch = connect(listener), connect(listener)
    client.sendall(BEGUN)
    get(watch)
    worker.drain()
    for _ in range(10):
        select.select([watch], [], [], 0.25)
        client.sendall(bytes(300))
    answer = Answer(client)
    assert (answer.status, answer.body, answer.closes) == (200, bytes(3000), True)
    worker.expect("done")


def test_patience_is_won_back_by_what_comes():
    patience = Patience(10)
    patience.received(1, 100)
    assert patience.left == 10, "the wait for the first byte is another one"
    patience.received(1, 4)
    assert patience.left == pytest.approx(6, abs=0.01)
    patience.received(2 * LEAST_RATE, 1)
    assert patience.left == pytest.approx(7, abs=0.01)
    patience.received(100 * LEAST_RATE, 1)
    assert patience.left == 10
    patience.over()
    assert (patience.left, patience.begun) == (10, False)
    assert Patience().left == inf
