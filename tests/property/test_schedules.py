"""When a timer's next tick is due, whatever its ticks do and however late the machine is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from launcher.service.schedules import MOST_DOUBLINGS, RETRY, BackOff, Dynamic, Every, Progress, TimedOutError

seconds = st.floats(0, 20)
intervals = st.floats(0.001, 10)
ticks = st.lists(st.tuples(seconds, seconds), min_size=1, max_size=30)  # how late each begins, and how long it takes
START = 1000.0


class Run:
    """A timer on a clock of its own, which only lateness, ticks and pauses advance."""

    def __init__(self, schedule):
        self.schedule = schedule
        self.progress = Progress()
        self.now = self.due = START
        self.begun = []

    def tick(self, lateness=0.0, duration=0.0, outcome=None, *, raised=False):
        """Let a tick begin when it is due, or later; return the pause after it."""
        self.now = self.due + lateness
        began, self.now = self.now, self.now + duration
        self.begun.append(began)
        self.progress = self.progress.after(began, self.now, outcome, raised=raised)
        coming = self.schedule.next(self.progress)
        self.progress = replace(self.progress, missed=self.progress.missed + coming.missed)
        self.due = self.now + coming.pause
        return coming.pause


def played(schedule, story):
    run = Run(schedule)
    for lateness, duration in story:
        run.tick(lateness, duration)
    return run


# every


@given(intervals, ticks)
@example(1.0, [(0.0, 1.0)] * 5)  # a tick that ends on the beat
@example(0.1, [(0.0, 0.0)] * 30)  # which no float is a multiple of
def test_a_tick_is_due_on_the_beat_after_the_last_has_ended(interval, story):
    run = Run(Every(interval))
    for lateness, duration in story:
        assert run.tick(lateness, duration) >= 0
        beats = (run.due - run.begun[0]) / interval
        assert beats == pytest.approx(round(beats), abs=1e-6 / interval)
        assert run.due - run.now <= interval + 1e-9


@given(intervals, ticks)
def test_every_beat_is_a_tick_or_is_counted_as_missed(interval, story):
    run = played(Every(interval), story)
    beats = (run.due - run.begun[0]) / interval
    assert run.progress.ticks == len(story)
    assert run.progress.ticks + run.progress.missed == round(beats)


@given(intervals, ticks)
def test_no_beat_is_missed_that_could_be_kept(interval, story):
    run = played(Every(interval), [(0.0, min(duration, interval * 0.99)) for _, duration in story])
    assert run.progress.missed == 0


@given(intervals, ticks)
def test_ticks_do_not_overlap(interval, story):
    run = played(Every(interval), story)
    for (begun, following), (_, duration) in zip(pairwise(run.begun), story, strict=False):
        assert following >= begun + duration - 1e-9


def test_what_comes_late_costs_beats_and_the_rest_keep_theirs():
    run = played(Every(1.0), [(0, 0.1), (0, 2.5), (0.5, 0.1), (0, 0)])
    assert run.begun == [START, START + 1, START + 4.5, START + 5]
    assert run.progress.missed == 2


@given(intervals, st.floats(0, 100), ticks)
def test_every_has_its_last_tick_within_the_timeout(interval, timeout, story):
    run = Run(Every(interval, timeout))
    try:
        for lateness, duration in story:
            run.tick(lateness, duration)
            assert run.due - run.begun[0] <= timeout + 1e-6
    except TimedOutError:
        assert run.now - run.begun[0] + interval > timeout - 1e-6


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
@pytest.mark.parametrize("schedule", [Every, BackOff])
def test_an_interval_must_be_positive(schedule, interval):
    with pytest.raises(ValueError, match="must be positive"):
        schedule(interval)


# dynamic


@given(st.floats(-5, 50) | st.integers(-5, 50) | st.none(), st.floats(0, 20) | st.none())
def test_a_dynamic_pause_is_what_the_tick_says_within_its_bounds(told, maximum):
    run = Run(Dynamic(maximum))
    if told is None and maximum is None:
        with pytest.raises(TypeError, match="returned None: it has to return seconds, or have a maximum"):
            run.tick(outcome=told)
        return
    pause = run.tick(outcome=told)
    most = told if maximum is None else maximum
    assert pause == max(0, min(most, most if told is None else told))


def test_a_failed_tick_says_nothing_and_does_not_spin():
    assert Run(Dynamic(5)).tick(raised=True) == 5
    assert Run(Dynamic()).tick(raised=True) == RETRY


def test_words_are_no_seconds():
    with pytest.raises(TypeError, match="returned 'soon'"):
        Run(Dynamic(5)).tick(outcome="soon")


# back-off

STILL = {"spread": lambda _least, _most: 0.0}
failures = st.lists(st.booleans(), min_size=1, max_size=80)


@given(st.floats(0.001, 10), st.floats(0.001, 1000), failures)
def test_a_pause_doubles_with_each_failure_in_a_row_up_to_the_maximum(first, maximum, failing):
    run, row = Run(BackOff(first, maximum, **STILL)), 0
    for failed in failing:
        row = row + 1 if failed else 0
        assert run.tick(outcome=not failed) == pytest.approx(min(first * 2**row, maximum))
        assert run.progress.failures == row


@given(st.floats(0, 1), st.floats(-1, 1), failures)
def test_jitter_stays_within_its_share_and_the_maximum(jitter, chance, failing):
    run = Run(BackOff(1.0, 100.0, jitter, spread=lambda least, most: (least + most) / 2 + chance * (most - least) / 2))
    for failed in failing:
        pause = run.tick(outcome=not failed)
        mean = min(2.0**run.progress.failures, 100.0)
        assert max(0, mean * (1 - jitter)) - 1e-9 <= pause <= min(mean * (1 + jitter), 100.0) + 1e-9


@given(st.floats(0, 1000), st.lists(st.tuples(seconds, st.booleans()), min_size=1, max_size=40))
def test_it_gives_up_before_it_has_failed_for_longer_than_the_timeout(timeout, story):
    run, failing = Run(BackOff(1.0, timeout=timeout, **STILL)), None
    for duration, failed in story:
        began = run.due
        failing = None if not failed else began if failing is None else failing
        pause = min(2.0 ** (run.progress.failures + 1), 300.0)
        too_long = failing is not None and began + duration - failing + pause > timeout
        if too_long:
            with pytest.raises(TimedOutError, match="times in a row"):
                run.tick(0, duration, not failed)
            return
        run.tick(0, duration, not failed)


def test_failing_for_ever_overflows_nothing():
    progress = Progress(ticks=10**6, failures=10**6)
    assert BackOff(1.0, float("inf"), **STILL).next(progress).pause == 2.0**MOST_DOUBLINGS


def test_pauses_are_spread_unless_one_says_how():
    assert len({Run(BackOff(1.0)).tick() for _ in range(20)}) > 1


def test_an_exception_is_a_failure_too_and_nothing_else_is():
    progress = Progress().after(0, 1, raised=True).after(1, 2, outcome=False)
    assert (progress.failures, progress.failing) == (2, 0)
    for outcome in (None, 0, "", True):
        assert progress.after(2, 3, outcome).failures == 0
