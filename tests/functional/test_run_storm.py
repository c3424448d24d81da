"""Everything that may happen to a service at once, under constant load: not one request fails."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.load import Load
from tests.functional.program import launcher
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.program import Program

SAYS = """
def web(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{word}"]
"""
TIMES = 20
BOUND = 280.0  # seconds for all of it


def scale(program: Program, count: int) -> list[int]:
    """Ask for so many workers as a user would; return who is there then."""
    assert launcher(program, "scale", "web", str(count)).returncode == 0
    return program.wait_ready(count)


def sockets(pid: int) -> int:
    """Count the sockets that a process holds: its listener, and its clients."""
    return sum(name.startswith("socket:") for name in proc.descriptors(pid).values())


def kill_an_idle_one(program: Program) -> int:
    """Kill a worker that has no client; stopped while we look, it takes none in the meantime.  Return its PID."""

    def kill() -> int:
        for pid in sorted(program.workers()):  # the oldest first
            outer = program.outer(pid)
            if not outer:  # it has ended since; 0 would be our own process group
                continue
            os.kill(outer, signal.SIGSTOP)
            wait_for(lambda outer=outer: proc.stands_still(outer), "it to stand still")
            if sockets(outer) == 1:
                os.kill(outer, signal.SIGKILL)
                return pid
            os.kill(outer, signal.SIGCONT)
        return 0

    return program.wait_for(kill, "a worker without a client")


@pytest.mark.timeout(300)
def test_a_storm_of_reloads_kills_and_scaling_fails_no_request(program: Program) -> None:
    program.serve(SAYS.format(word="old"), services="app:web=2", crash_loop_window=0)
    with Load(program.port, keep_alive=2, fresh=2, patience=BOUND, pace=0.02) as load:
        load.wait_for_more()
        for _ in range(TIMES):
            before = program.workers()
            program.signal(signal.SIGHUP)
            program.wait_replaced(before)
        scale(program, 8)
        for _ in range(TIMES):
            killed = kill_an_idle_one(program)
            program.wait_replaced([killed])
        (mold,) = program.ask("status")["molds"]
        program.signal(signal.SIGKILL, mold)
        program.wait_for(lambda: program.ask("status")["molds"] not in ([], [mold]), "another mold")
        before = scale(program, 2)
        assert set(load.wait_for_more()) == {"old"}
        program.write_app(SAYS.format(word="newer"))
        program.signal(signal.SIGHUP)
        program.wait_replaced(before)
        program.wait_for(lambda: set(load.wait_for_more()) == {"newer"}, "answers of the new code alone")
    assert load.failures == []
    assert program.stop() == 0
