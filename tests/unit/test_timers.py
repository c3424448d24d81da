"""Timers, on a clock that the test moves."""

from __future__ import annotations

from math import inf

import pytest

from launcher.supervisor.timers import Timers


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timers(clock):
    return Timers(clock)


def test_with_none_set_there_is_no_deadline(timers):
    assert timers.deadline() == inf


def test_each_is_called_once_when_it_is_due_in_order(timers):
    called = []
    for seconds in (3, 1, 2, 1):
        timers.after(seconds, lambda seconds=seconds: called.append(seconds))
    assert timers.deadline() == 101
    timers.expire(100.9)
    assert called == []
    timers.expire(102)
    assert (called, timers.deadline()) == ([1, 1, 2], 103)
    timers.expire(200)
    assert (called, timers.deadline()) == ([1, 1, 2, 3], inf)


def test_one_that_is_cancelled_is_neither_called_nor_waited_for(timers):
    called = []
    first = timers.after(1, lambda: called.append(1))
    timers.after(2, lambda: called.append(2))
    first.cancel()
    first.cancel()
    assert (first.is_set, timers.deadline()) == (False, 102)
    timers.expire(200)
    assert called == [2]


def test_a_call_may_cancel_the_next_and_itself(timers):
    called = []

    def call():
        called.append(1)
        second.cancel()
        first.cancel()

    first = timers.after(1, call)
    second = timers.after(1, lambda: called.append(2))
    timers.expire(200)
    assert (called, timers.deadline()) == ([1], inf)


def test_what_a_call_sets_is_for_the_next_time(timers, clock):
    called = []

    def again():
        called.append(clock.now)
        timers.after(0, again)

    timers.after(0, again)
    for _ in range(3):
        timers.expire(clock.now)
    assert called == [100] * 3
    assert timers.deadline() == 100


def test_many_that_are_cancelled_take_no_room(timers):
    kept = timers.after(5, lambda: None)
    for _ in range(1000):
        timers.after(1e6, lambda: None).cancel()
    assert len(timers._heap) < 10
    assert timers.deadline() == kept.when
