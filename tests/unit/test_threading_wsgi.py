"""The WSGI server on threads, in this process: what no client from outside can bring about at will."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

import pytest

from launcher.supervisor.scoreboard import Scoreboard
from launcher.worker.backends import Terms
from launcher.worker.backends.threading_wsgi import TcpAcceptor, ThreadingServer

PATIENCE = 20.0  # seconds


def app(_environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        server = ThreadingServer(app, [listener], Terms(PATIENCE, capacity=2), Scoreboard().seat(0))
    yield address
    server.drain()
    server.wait()


def ask(address):
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b""))[:15]


def test_a_client_that_is_gone_when_it_is_taken_costs_the_others_nothing(monkeypatch, address):
    failures = [OSError(errno.EINVAL, "gone")]

    def fail_once(_self, _client):
        if failures:
            raise failures.pop()

    monkeypatch.setattr(TcpAcceptor, "set_socket_options", fail_once)
    with suppress(ConnectionResetError):
        assert ask(address) == b""
    assert failures == []
    assert ask(address) == b"HTTP/1.1 200 OK"
