"""How signals reach the loop of `launcher exec`: by signalfd(2), and the same where there is none to be had."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from launcher.init import inbox
from launcher.supervisor import libc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

US = f"PID {os.getpid()}, UID {os.getuid()}"


@pytest.fixture(params=["signalfd", "sigwaitinfo"])
def read(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bytes]]:
    """All signals blocked, and how one is read."""
    if request.param == "sigwaitinfo":
        monkeypatch.setattr(libc, "_call", lambda *_: -1)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    signals = inbox.Inbox()
    yield lambda: signals.read(signals.fd, inbox.SIZE)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if request.param == "signalfd":
        os.close(signals.fd)


def test_each_is_read_once_and_in_order(read: Callable[[], bytes]) -> None:
    sent = [signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMIN, signal.SIGRTMIN, signal.SIGRTMAX]
    for signum in sent:
        signal.pthread_kill(threading.get_ident(), signum)  # pytest-xdist has threads that block nothing
    for signum in sent:
        arrived = read()
        assert arrived[inbox.NUMBER] == signum
        assert inbox.sender(arrived) == US
    assert inbox.wait(0) is None


@pytest.mark.usefixtures("read")
def test_a_wait_that_is_limited_tells_the_same():
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
    arrived = inbox.wait(0)
    assert arrived is not None
    assert (arrived[inbox.NUMBER], inbox.sender(arrived), len(arrived)) == (signal.SIGUSR2, US, inbox.SIZE)


def test_what_never_came_has_no_sender():
    assert inbox.sender(b"") == ""


def test_the_kernel_is_named(read: Callable[[], bytes]) -> None:
    pid = os.fork()
    if pid == 0:  # with one thread: the kernel would choose another, which blocks nothing
        signal.setitimer(signal.ITIMER_REAL, 1e-6)
        arrived = read()
        os._exit((arrived[inbox.NUMBER], inbox.sender(arrived)) != (signal.SIGALRM, "the kernel"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_closed_stdin_stays_closed():
    pid = os.fork()
    if pid == 0:
        os.closerange(0, 1000)
        inbox.Inbox()
        os._exit(any(os.path.exists(f"/proc/self/fd/{fd}") for fd in range(3)))  # noqa: PTH110 - no descriptor
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
