"""What the kernel tells the watchdog of a process that waits for CPU, and that it trusts only its own /proc."""

from __future__ import annotations

import os
import signal
import time

import pytest

from launcher.supervisor import watchdog
from launcher.supervisor.watchdog import CpuWaits

PATIENCE = 30.0  # seconds


def _burn() -> int:
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        while True:
            pass
    return pid


@pytest.fixture
def rivals():
    """Two processes that want the same CPU all the time."""
    pids = [_burn() for _ in range(2)]
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_until_starved(pids: list[int]) -> list[float]:
    waits = CpuWaits()
    deadline = time.monotonic() + PATIENCE
    while any(waits.starved(pid) < 0.1 for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [waits.starved(pid) for pid in pids]


def test_who_shares_a_cpu_starves(rivals):
    begin = time.monotonic()
    assert all(seconds < 1 + time.monotonic() - begin for seconds in wait_until_starved(rivals))


def test_who_is_gone_tells_nothing():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert CpuWaits().starved(pid) == 0


@pytest.mark.parametrize("link", [str(os.getppid()), ""], ids=["somebody else", "nobody"])
def test_a_foreign_proc_is_not_believed(rivals, monkeypatch, link):
    wait_until_starved(rivals)
    monkeypatch.setattr(watchdog, "_self_in_proc", lambda: link)
    assert CpuWaits().starved(rivals[0]) == 0
