"""oslo.service's `systemd`, with real datagrams."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from launcher.oslo import systemd


@pytest.fixture
def ear(monkeypatch, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield ear


def test_it_is_said_as_often_as_asked_or_once(ear):
    systemd.notify()
    systemd.notify_once()
    systemd.notify()
    assert [ear.recv(512), ear.recv(512)] == [b"READY=1"] * 2
    with pytest.raises(BlockingIOError):
        ear.recv(512)
    assert "NOTIFY_SOCKET" not in os.environ


def test_nobody_hears_it(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")
    systemd.notify_once()
    assert os.environ["NOTIFY_SOCKET"] == "@nobody"


def test_an_ear_that_is_full_is_not_waited_for(ear):
    for _ in range(1000):
        systemd.notify()
    assert ear.recv(512) == b"READY=1"


@pytest.mark.parametrize(("word", "code"), [(b"READY=1", 0), (b"STOPPING=1", 1)])
def test_somebody_else_is_waited_for(tmp_path, word, code):
    for address in (str(tmp_path / "other"), f"@{tmp_path}"):
        codes = []
        waiter = threading.Thread(target=lambda: codes.append(systemd.onready(address, 60)))  # noqa: B023
        waiter.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            while waiter.is_alive():
                try:
                    mouth.sendto(word, address.replace("@", "\0"))
                    waiter.join()
                except (FileNotFoundError, ConnectionRefusedError):
                    waiter.join(0.01)
        assert codes == [code]


def test_nobody_says_anything(tmp_path):
    assert systemd.onready(str(tmp_path / "other"), 0.01) == 2
