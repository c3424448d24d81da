"""An init below an init is one init: nothing changes for the command."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways
from tests.functional.conformance.harness import INIT, PATIENCE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

DEPTHS = pytest.mark.parametrize("depth", [2, 3], ids="depth-{}".format)


@both_ways
@DEPTHS
@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("exec no-such-x", 127)])
def test_exit_status(start: Starter, depth: int, script: str, code: int) -> None:
    assert start("sh", "-c", script, init=INIT * depth).code() == code


@both_ways
@DEPTHS
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV, 40], ids=int)
def test_signal(start: Starter, depth: int, signum: int) -> None:
    init = start.payload("signals", init=INIT * depth)
    init.send(signum, 64)
    assert init.lines_until("64") == [str(int(signum))]


@both_ways
def test_real_time_signals_are_counted(start: Starter) -> None:
    init = start.payload("signals", init=INIT * 2)
    init.send(*[40] * 50, 64)
    assert init.lines_until("64") == ["40"] * 50


@both_ways
def test_orphans_are_the_inner_ones(start: Starter) -> None:
    init = start.payload("obey", init=INIT * 2)
    inner = init.command
    [command] = proc.children(inner)
    init.order("orphans 20")
    assert len(proc.children(inner)) == 21
    init.order("release")
    wait_for(lambda: proc.children(inner) == [command], "the last orphan's reaping", PATIENCE)


@both_ways
def test_rest_cleans_up(start: Starter) -> None:
    init = start.payload("obey", init=INIT * 2)
    init.order("leave daemon clean")
    init.tell("exit 7")
    assert init.code() == 7
    assert init.rest() == b"term\ncleaned\n"


@both_ways
def test_inner_init_that_is_killed(start: Starter) -> None:
    init = start.payload("obey", init=INIT * 2)
    os.kill(init.command, signal.SIGKILL)
    assert init.code() == 137
