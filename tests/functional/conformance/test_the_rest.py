"""When the command has ended, whoever is left gets TERM, time to clean up, and only then KILL."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Running, Starter

SHORT = {"LAUNCHER_EXEC_GRACE": "0.5"}  # seconds; the others ignore it
LONG = {"LAUNCHER_EXEC_GRACE": "600"}
PLACES = ["child", "session", "daemon"]


def assert_nobody_left(start: Starter, init: Running) -> None:
    """Nobody holds the init's stdout, nobody is in the namespace."""
    assert "survived" not in init.rest().decode()
    assert not (start.keeper and start.keeper.guests())


@both_ways
@pytest.mark.parametrize("end", ["exit 0", "exit 7", "die 15"])
@pytest.mark.parametrize("place", PLACES)
def test_cleans_up(start: Starter, place: str, end: str) -> None:
    init = start.payload("obey")
    init.order(f"leave {place} clean")
    init.tell(end)
    assert init.code() == {"exit 0": 0, "exit 7": 7, "die 15": 143}[end]
    assert init.rest() == b"term\ncleaned\n"
    assert_nobody_left(start, init)


@both_ways
@pytest.mark.parametrize("place", PLACES)
def test_deaf_is_killed_after_the_grace(start: Starter, place: str) -> None:
    init = start.payload("obey", environment=SHORT)
    init.order(f"leave {place} deaf")
    init.tell("exit 7")
    assert init.code() == 7
    assert init.rest() == b"term\n"
    assert_nobody_left(start, init)


@both_ways
def test_deaf_does_not_cut_the_clean_up_of_others(start: Starter) -> None:
    init = start.payload("obey", environment={"LAUNCHER_EXEC_GRACE": "2"})
    for survivor in ("session deaf", "session clean", "daemon clean"):
        init.order(f"leave {survivor}")
    init.tell("exit 7")
    assert init.code() == 7
    assert sorted(init.rest().split()) == [b"cleaned"] * 2 + [b"term"] * 3


@both_ways
def test_many_clean_up_side_by_side(start: Starter) -> None:
    init = start.payload("obey")
    for _ in range(20):
        init.order("leave daemon clean")
    init.tell("exit 7")
    assert init.code() == 7
    assert init.rest().split().count(b"cleaned") == 20


@both_ways
def test_stopped_one_does_not_hold_up_the_end(start: Starter) -> None:
    init = start.payload("obey", environment=SHORT)
    [survivor] = init.order("leave session clean")
    init.order(f"stop {survivor}")
    init.tell("exit 7")
    assert init.code() == 7
    assert_nobody_left(start, init)


@both_ways
def test_born_during_the_grace(start: Starter) -> None:
    init = start.payload("obey", environment=SHORT)
    init.order("leave session forking")
    init.tell("exit 7")
    assert init.code() == 7
    assert init.rest() == b"term\n"
    assert_nobody_left(start, init)


@both_ways
def test_a_term_cuts_the_grace(start: Starter) -> None:
    init = start.payload("obey", environment=LONG)
    init.order("leave session deaf")
    pid = init.pid
    init.tell("exit 7")
    assert init.line() == "term"
    init.send(signal.SIGTERM)
    assert pid
    assert init.code() == 7


@both_ways
def test_stop_by_term_is_the_commands_first(start: Starter) -> None:
    init = start.payload("obey")
    init.order("leave session clean")
    init.send(signal.SIGTERM)
    assert init.code() == 143
    assert init.rest() == b"term\ncleaned\n"


@both_ways
def test_nobody_left_means_no_wait(start: Starter) -> None:
    # With a grace beyond the test's patience, any wait for nobody shows.
    init = start.payload("obey", environment=LONG)
    init.tell("exit 7")
    assert init.code() == 7


@both_ways
def test_last_to_clean_up_ends_the_grace(start: Starter) -> None:
    init = start.payload("obey", environment=LONG)
    init.order("leave daemon clean")
    init.tell("exit 7")
    assert init.code() == 7
    assert init.rest() == b"term\ncleaned\n"
