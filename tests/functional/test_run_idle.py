"""PID 1 is small, and does nothing when there is nothing to do."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import WEB
from tests.functional.program import AS_PID1, LAUNCHER
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.program import Program

IDLE = 10.0  # seconds; the one wait here that is a measurement


def switches(pid: int) -> int:
    """Return how often a process went to sleep of its own will."""
    return int(proc.field(pid, "voluntary_ctxt_switches"))


def wait_settled(pid: int) -> None:
    """Wait until a process has slept through half a second."""

    def settled() -> bool:
        before = switches(pid)
        time.sleep(0.5)
        return switches(pid) == before

    wait_for(settled, "the process to settle")


def test_idle_pid_1_does_not_wake(program: Program) -> None:
    program.serve(WEB, services="app:web=4")
    assert program.get()[0] == 200
    wait_settled(program.pid)
    before = switches(program.pid)
    time.sleep(IDLE)
    assert switches(program.pid) == before


def test_commands_that_look_for_their_own_supervisor_do_not_wake_it(program: Program) -> None:
    program.serve(WEB, services="app:web=1")
    wait_settled(program.pid)
    before = switches(program.pid)
    elsewhere = program.environment(LAUNCHER_RUNTIME_DIR=None)
    subprocess.run([*AS_PID1, *LAUNCHER, "healthcheck"], env=elsewhere, timeout=60, check=False)
    assert switches(program.pid) == before


def test_pid_1_has_one_thread_and_nothing_of_the_application(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    assert proc.inner(program.pid) == 1
    assert proc.field(program.pid, "Threads") == "1"
    assert "greenlet" not in proc.maps(program.pid)
    worker = program.outer(program.workers()[0])
    assert "greenlet" in proc.maps(worker)
    for package in (b"/eventlet/", b"/oslo_config/", b"/app.py"):
        # Code carries the name of its file.
        assert proc.memory_contains(worker, package)
        assert not proc.memory_contains(program.pid, package)
