"""A TLS connection on threads whose socket takes only as much as the test lets it."""

from __future__ import annotations

import ssl
from math import inf
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from launcher.service.tls import TLS
from launcher.worker.backends import Terms
from launcher.worker.backends.threading_tls import TlsChannel
from tests.certificates import Authority


class Narrow:
    """A socket that sends no more than there is room for."""

    def __init__(self):
        self.room, self.sent, self.coming = 10**6, b"", b""

    def send(self, data):
        if not self.room:
            raise BlockingIOError
        size = min(self.room, len(data))
        self.sent += bytes(data[:size])
        self.room -= size
        return size

    def recv(self, _size):
        coming, self.coming = self.coming, b""
        return coming

    def getsockopt(self, *_):
        return 65536

    def setblocking(self, _flag):
        pass

    def fileno(self):
        return -1

    def close(self):
        pass


@pytest.fixture
def channel(tmp_path):
    authority = Authority(tmp_path)
    pair = authority.issue("one")
    terms = Terms(keepalive_timeout=1, tls=TLS(str(pair.cert), str(pair.key)))
    owner = SimpleNamespace(terms=terms, drains_since=inf)
    server = SimpleNamespace(owner=owner, draining=False, active_channels={})
    channel = TlsChannel(server, Narrow(), ("client", 1), Adjustments(), map={})
    channel.bios = ssl.MemoryBIO(), ssl.MemoryBIO()
    channel.client = authority.client().wrap_bio(*channel.bios, server_hostname="localhost")
    return channel


def deliver(channel):
    """Let client and server have what the other has sent."""
    incoming, outgoing = channel.bios
    incoming.write(channel.socket.sent)
    channel.socket.sent, channel.socket.coming = b"", outgoing.read()
    if channel.socket.coming:
        channel.handle_read()


def test_what_is_not_out_is_sent_when_there_is_room_and_its_connection_not_idle(channel):
    while not done(channel.client):
        deliver(channel)
    deliver(channel)
    channel.socket.room = 100
    channel.write_soon(b"x" * 1000)
    assert channel.total_outbufs_len == 0
    assert channel.writable()
    assert channel.due == inf
    channel.socket.room = 10**6
    channel.handle_write()
    assert not channel.writable()
    assert channel.due < inf
    deliver(channel)
    assert channel.client.read(2000) == b"x" * 1000


def done(client):
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
