"""The socket of sd_notify(3), with real datagrams."""

from __future__ import annotations

import os
import socket

import pytest

from launcher.supervisor.notify import NotifySocket


@pytest.fixture
def notify():
    notify = NotifySocket()
    yield notify
    notify.close()


@pytest.fixture
def client(notify):
    assert notify.name.startswith("@")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.connect(notify.name.replace("@", "\0"))
        yield client


def test_who_and_what(notify, client):
    client.send(b"READY=1\nSTATUS=a=b\nnonsense\n\xff=\xfe")
    assert list(notify.take()) == [(os.getpid(), {"READY": "1", "STATUS": "a=b", "�": "�"})]
    assert list(notify.take()) == []


def test_the_kernel_says_who_it_was(notify, client):
    if (child := os.fork()) == 0:
        client.send(b"READY=1\nMAINPID=1")
        os._exit(0)
    os.waitpid(child, 0)
    assert [sender for sender, _ in notify.take()] == [child]


def test_a_barrier_is_let_go(notify, client):
    """sd_notify_barrier(3): the sender waits until the descriptor that it has sent is closed."""
    reader, writer = os.pipe()
    socket.send_fds(client, [b"BARRIER=1"], [writer])
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    assert list(notify.take()) == [(os.getpid(), {"BARRIER": "1"})]
    assert os.read(reader, 1) == b""
    os.close(reader)
