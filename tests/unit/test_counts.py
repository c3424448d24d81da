"""How many workers: what can be said, and what `auto` makes of a container."""

from __future__ import annotations

import os
from math import inf

import pytest

from launcher.counts import Auto, Between, Machine, auto, parse

MIB = 2**20


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("10000", 10_000), ("2..8", Between(2, 8)), ("1..10000", Between(1, 10_000)), ("4..4", 4)],
)
def test_what_can_be_said(text, count):
    assert parse(text) == count
    if text != "4..4":
        assert str(count) == text


def test_auto_is_a_word():
    assert parse("auto") == Auto()
    assert str(Auto()) == "auto"


@pytest.mark.parametrize(
    "text",
    [
        *["", "0", "-1", "+1", "10001", "8..2", "0..3", "-1..3", "2..", "..4", "2...4", "1..10001", "2..4..6"],
        *["auto..4", "2..auto", "AUTO", "2 .. 4", "1.5", "٣", "9" * 5000],
    ],
)
def test_what_makes_no_sense(text):
    with pytest.raises(ValueError, match=r"a whole number from 1 to 10000, MIN\.\.MAX as in 2\.\.8, or auto"):
        parse(text)


@pytest.mark.parametrize(
    ("machine", "each", "count", "why"),
    [
        (Machine(4), 0, 4, "4 by affinity to 4 CPUs"),
        (Machine(4, 1.5), 0, 2, "2 by affinity to 4 CPUs, a CPU quota of 1.5"),
        (Machine(2, 8), 0, 2, "2 by affinity to 2 CPUs, a CPU quota of 8"),
        (Machine(4, 0.01), 0, 1, "1 by affinity to 4 CPUs, a CPU quota of 0.01"),
        (
            Machine(8, inf, 200 * MIB),
            0,
            3,
            "3 by affinity to 8 CPUs, a memory limit of 200 MiB, at least 64 MiB for each",
        ),
        (
            Machine(8, 6, 1024 * MIB),
            300 * MIB,
            3,
            "3 by affinity to 8 CPUs, a CPU quota of 6, a memory limit of 1024 MiB, at least 300 MiB for each",
        ),
        (
            Machine(8, inf, 10 * MIB),
            0,
            1,
            "1 by affinity to 8 CPUs, a memory limit of 10 MiB, at least 64 MiB for each",
        ),
    ],
)
def test_auto_is_the_least_of_all_limits_and_says_so(machine, each, count, why):
    assert auto(machine, each) == (count, why)


def test_the_affinity_is_this_processes_own():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert Machine.here().affinity == 1
    finally:
        os.sched_setaffinity(0, before)
