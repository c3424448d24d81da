"""A signal that comes before the init is ready is not lost.

What nobody can promise: the kernel drops a signal for PID 1 that is neither blocked nor handled at that instant.  An
init can mend that with its first system call, so from there on each TERM has to count (`test_each_counts`).  For those
that begin with something else, a dynamic linker for instance, the others send TERM again until they have blocked or
handled it, and from then on one has to be enough.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways
from tests.functional.conformance.harness import INIT, IS_LAUNCHER, PATIENCE, PAYLOAD
from tests.functional.tracing import after_first_system_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.functional.conformance.harness import Running, Starter

WRAPPERS = {"unshare", "nsenter"}
launcher_only = pytest.mark.skipif(not IS_LAUNCHER, reason="options of launcher's own")
ENDS = {128 + signal.SIGTERM, -signal.SIGTERM}  # through the command, or before there was one


def program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def executed(init: Running) -> int:
    """Wait, without a break, for the instant at which the process has become the init; return its PID."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pids = proc.children(init._popen.pid)
        if pids and program_of(pids[0]) not in {*WRAPPERS, ""}:
            return pids[0]
    raise AssertionError("the init has not started")


def is_ready_for(pid: int, signum: int) -> bool:
    """Whether PID 1 would get the signal now: it is blocked, so that it waits, or handled."""
    return signum in proc.signals(pid, "SigBlk") | proc.signals(pid, "SigCgt")


def send_until_it_counts(pid: int, signum: int, *, pid1: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    counts = False
    while not counts and time.monotonic() < deadline:
        counts = not pid1 or is_ready_for(pid, signum)
        try:
            os.kill(pid, signum)
        except ProcessLookupError:  # an earlier one was not lost after all
            return


def end_early(start: Starter, delay: float, pid1: bool, init: Sequence[str] = INIT) -> int:
    """Send TERM so long after the init's exec; return the exit status."""
    running = start("sleep", "600", init=init, stdin=None, stdout=None)
    pid = executed(running)
    instant = time.perf_counter() + delay
    while time.perf_counter() < instant:
        pass
    send_until_it_counts(pid, signal.SIGTERM, pid1=pid1)
    return running.code()


@both_ways
@pytest.mark.parametrize(("within", "count"), [(0.001, 25), (0.005, 25), (0.02, 50)], ids=["1-ms", "5-ms", "20-ms"])
def test_term(start: Starter, pid1: bool, within: float, count: int) -> None:
    delays = random.Random(within)
    ends = [end_early(start, delays.uniform(0, within), pid1) for _ in range(count)]
    assert set(ends) <= ({143} if pid1 else ENDS)
    assert not (start.keeper and start.keeper.guests()), "the command has stayed behind"


@launcher_only
@both_ways
def test_term_for_the_group(start: Starter, pid1: bool) -> None:
    delays = random.Random(1)
    init = (*INIT[:-1], "--group", "--")
    assert {end_early(start, delays.uniform(0, 0.02), pid1, init) for _ in range(25)} <= ENDS


def end_after_first_system_call(start: Starter, delay: float, init: Sequence[str]) -> int:
    """Send one TERM so long after the init's first system call; return the exit status."""
    running = start("sleep", "600", init=init, outer=["sh", "-c", 'echo ready; read go; exec "$@"', "sh"])
    assert running.line() == "ready"
    after_first_system_call(running.pid, lambda: running.tell("go"))
    instant = time.perf_counter() + delay
    while time.perf_counter() < instant:
        pass
    running.send(signal.SIGTERM)
    return running.code()


@both_ways
@pytest.mark.parametrize("group", [False, pytest.param(True, marks=launcher_only)], ids=["command", "group"])
def test_each_counts(start: Starter, pid1: bool, group: bool) -> None:
    delays = random.Random(group)
    init = (*INIT[:-1], "--group", "--") if group else INIT
    ends = [end_after_first_system_call(start, delays.uniform(0, 0.02), init) for _ in range(50)]
    assert set(ends) <= ({143} if pid1 else ENDS)


@both_ways
def test_blocked_since_before_the_start(start: Starter) -> None:
    # Nothing can be lost here, whoever is PID 1: the signal waits from the first instruction on.
    init = start(*PAYLOAD, "unblock", prepared=["block=15"])
    pid = init.pid
    while signal.SIGTERM not in proc.signals(pid, "SigBlk") or program_of(pid) in WRAPPERS:
        assert proc.inner(pid)
    os.kill(pid, signal.SIGTERM)
    assert init.code() == 143
