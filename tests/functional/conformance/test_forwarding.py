"""Every signal that can be caught reaches the command; real-time ones each and in order."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways
from tests.functional.conformance.harness import PATIENCE
from tests.functional.proc import field
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

# SIGCHLD is the init's own.
FORWARDED = sorted(
    signum for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD} if signum < 32
)
REAL_TIME = range(34, 65)
LAST = 64  # delivered after all others that wait with it


@both_ways
@pytest.mark.parametrize("signum", [*FORWARDED, 34, 35, 49, 63, 64], ids="signal-{:d}".format)
def test_each(start: Starter, signum: int) -> None:
    init = start.payload("signals")
    init.send(signum)
    assert init.line() == str(int(signum))


@both_ways
def test_again_and_again(start: Starter) -> None:
    init = start.payload("signals")
    for _ in range(100):
        init.send(signal.SIGUSR1)
        assert init.line() == str(int(signal.SIGUSR1))


@both_ways
def test_all_at_once(start: Starter) -> None:
    init = start.payload("signals")
    everything = [signum for signum in FORWARDED if signum != signal.SIGCONT]
    init.send(*everything)
    assert {int(init.line()) for _ in everything} == set(everything)


@both_ways
def test_real_time_signals_are_counted(start: Starter) -> None:
    init = start.payload("signals")
    init.send(*[40] * 100, LAST)
    assert init.lines_until(str(LAST)) == ["40"] * 100


@both_ways
def test_real_time_signals_keep_their_order(start: Starter) -> None:
    init = start.payload("signals")
    ascending = [signum for signum in REAL_TIME if signum != LAST for _ in range(10)]
    init.send(*ascending, LAST)
    assert init.lines_until(str(LAST)) == list(map(str, ascending))


@both_ways
def test_storm_is_survived(start: Starter) -> None:
    init = start.payload("signals")
    storm = [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGWINCH] * 25
    init.send(*storm, LAST)
    assert set(map(int, init.lines_until(str(LAST)))) == set(storm)


@both_ways
def test_stopped_command_gets_them_later(start: Starter) -> None:
    init = start.payload("signals")
    command = init.command
    os.kill(command, signal.SIGSTOP)
    wait_for(lambda: field(command, "State").startswith("T"), "the stop", PATIENCE)
    os.kill(init.pid, signal.SIGCONT)  # not as PID 1, an init stops with its command
    init.send(*[40] * 20, LAST)
    os.kill(command, signal.SIGCONT)
    lines = init.lines_until(str(LAST))
    assert [line for line in lines if line == "40"] == ["40"] * 20


@both_ways
@pytest.mark.parametrize("state", ["block", "ignore"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, 40], ids="signal-{:d}".format)
def test_blocked_or_ignored_on_entry(start: Starter, state: str, signum: int) -> None:
    init = start.payload("signals", prepared=[f"{state}={signum:d}"])
    init.send(signum)
    assert init.line() == str(int(signum))


@both_ways
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGABRT, signal.SIGSEGV, 40], ids=int)
def test_command_dies_of_it(start: Starter, signum: int) -> None:
    init = start("sh", "-c", "echo ready; read forever", prepared=["limit=CORE:0:0"])
    assert init.line() == "ready"
    init.send(signum)
    assert init.code() == 128 + signum


@both_ways
def test_signal_that_the_command_sends_the_init(start: Starter) -> None:
    init = start("sh", "-c", "trap 'exit 3' USR1; kill -USR1 $PPID; while :; do read forever; done")
    assert init.code() == 3


@both_ways
@pytest.mark.skipif(os.geteuid() != 0, reason="changes users")
def test_command_that_must_not_be_signalled_is_waited_for(start: Starter) -> None:
    # Root without CAP_KILL: the kernel says EPERM once the command is another user's.
    powerless = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
    init = start.payload("other-user", "65534", outer=powerless)
    init.send(signal.SIGTERM, signal.SIGUSR1, 40)
    command = init.command
    os.kill(command, signal.SIGHUP)
    assert init.line() == str(int(signal.SIGHUP))
    os.kill(command, signal.SIGKILL)
    assert init.code() == 128 + signal.SIGKILL


@both_ways
def test_only_the_command_is_signalled(start: Starter) -> None:
    # A pre-fork server drains its workers itself; they must not die before it says so.
    init = start.payload("obey")
    init.order("tell-term")
    [survivor] = init.order("leave child clean")
    init.send(signal.SIGTERM)
    assert init.line() == "command-term"
    init.tell(f"probe {survivor}")
    assert {init.line(), init.line()} == {"probed", "done"}
