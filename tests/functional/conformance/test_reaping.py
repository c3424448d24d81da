"""Orphans are adopted and reaped, whatever their number, and have no say in the init's end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways, not_pid1
from tests.functional.conformance.harness import PATIENCE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Running, Starter

HUNDREDS = 300


def wait_until_alone(init: Running, command: int) -> None:
    """Wait until the init has no child but the command, not even a zombie."""
    wait_for(lambda: proc.children(init.pid) == [command], "the last orphan's reaping", PATIENCE)


def orphaned(start: Starter, count: int, *prepared: str) -> tuple[Running, int]:
    """Start a command whose orphans the init has adopted; return its PID too."""
    init = start.payload("obey", prepared=prepared)
    command = init.command
    init.order(f"orphans {count}")
    assert len(proc.children(init.pid)) == count + 1, "the orphans are somebody else's"
    return init, command


@both_ways
@pytest.mark.parametrize("count", [1, 100, 2000])
def test_orphans(start: Starter, count: int) -> None:
    init, command = orphaned(start, count)
    init.order("release")
    wait_until_alone(init, command)
    init.tell("exit 7")
    assert init.code() == 7


@both_ways
def test_storm(start: Starter) -> None:
    init = start.payload("obey")
    command = init.command
    init.order(f"storm {HUNDREDS}")
    wait_until_alone(init, command)
    init.tell("exit 7")
    assert init.code() == 7


@both_ways
def test_orphan_with_the_commands_exit_code(start: Starter) -> None:
    init = start.payload("obey")
    command = init.command
    init.order("orphans 3 7")
    init.order("release")
    wait_until_alone(init, command)
    assert init.order("probe 0") == []
    init.tell("exit 7")
    assert init.code() == 7


@both_ways
@pytest.mark.parametrize("end", ["exit 0", "exit 7", "die 9", "die 15"])
def test_command_ends_among_its_orphans(start: Starter, end: str) -> None:
    init, _ = orphaned(start, HUNDREDS)
    init.order("release")
    init.tell(end)
    how, number = end.split()
    assert init.code() == int(number) + (128 if how == "die" else 0)


@both_ways
def test_signals_get_through_meanwhile(start: Starter) -> None:
    init, command = orphaned(start, HUNDREDS)
    init.order("tell-term")
    init.order("release")
    init.send(signal.SIGTERM)
    assert init.line() == "command-term"
    wait_until_alone(init, command)


@both_ways
@pytest.mark.parametrize("state", ["ignore=17", "block=17", "ignore=17 block=17"], ids=["ignored", "blocked", "both"])
def test_sigchld_on_entry(start: Starter, state: str) -> None:
    init, command = orphaned(start, 10, *state.split())
    init.order("release")
    wait_until_alone(init, command)
    init.tell("exit 7")
    assert init.code() == 7


@both_ways
def test_quick_command_with_sigchld_ignored(start: Starter) -> None:
    assert start("sh", "-c", "exit 7", prepared=["ignore=17"]).code() == 7


@both_ways
def test_children_from_before_the_init(start: Starter) -> None:
    # An entry point script that has started something, then becomes the init.
    init = start("sh", "-c", "exit 7", outer=["sh", "-c", '(exit 3) & exec "$@"', "sh"])
    assert init.code() == 7


@not_pid1
def test_says_nothing_when_not_pid_1(start: Starter) -> None:
    init, command = orphaned(start, 1)
    init.order("release")
    wait_until_alone(init, command)
    assert init.errors() == ""


@not_pid1
def test_strangers_are_left_alone(start: Starter) -> None:
    stranger = start("sleep", "600", init=())
    stranger_pid = stranger.pid
    init = start.payload("obey")
    init.order("leave daemon clean")
    init.tell("exit 7")
    assert init.code() == 7
    assert proc.field(stranger_pid, "State").startswith("S")
    os.kill(stranger_pid, signal.SIGTERM)
    assert stranger.code() == -signal.SIGTERM
