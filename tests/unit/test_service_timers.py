"""Timers of a service on real green and native threads, and their beat on a clock of its own."""

from __future__ import annotations

import logging
import math
import re
import time
from functools import partial
from importlib import import_module

import pytest

from launcher.service import timers
from launcher.service.schedules import BackOff, Dynamic, Every, TimedOutError
from launcher.service.timers import Timer, TimerDone
from launcher.worker import backends

PATIENCE = 10.0  # seconds
START = 100.0  # on a clock of the test's own


@pytest.fixture(params=sorted(backends.KINDS))
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


class Tick:
    """A call that does what a story says, one thing a time, and is done at its end."""

    def __init__(self, *story):
        self.story = list(story)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if not self.story:
            raise TimerDone("the end")
        thing = self.story.pop(0)
        if isinstance(thing, BaseException):
            raise thing
        return thing() if callable(thing) else thing


def ended(timer):
    assert timer.join(PATIENCE)
    return timer


def started(schedule, tick, initial_delay=None, **options):
    timer = Timer(schedule, tick, **options)
    timer.start(initial_delay)
    return timer


def test_what_ends_it_from_inside_is_its_result(backend):
    tick = Tick(None, None)
    timer = ended(started(Every(0.001), tick))
    assert timer.wait() == "the end"
    assert (tick.calls, timer.progress.ticks) == (3, 2)


def test_a_stopped_one_has_no_result(backend):
    stopping = backend.event()
    timer = started(Every(3600), stopping.set)
    stopping.wait(PATIENCE)
    timer.stop()
    assert ended(timer).wait() is None


def test_it_may_stop_itself(backend):
    def tick():
        timer.stop()

    timer = started(Every(0.001), tick, 0.01)
    assert ended(timer).wait() is None
    assert timer.progress.ticks == 1


def test_stopped_in_a_tick_nobody_asks_when_the_next_is_due(backend):
    def tick():
        timer.stop()  # and says nothing, which a dynamic one would have to

    timer = started(Dynamic(), tick, 0.01)
    assert ended(timer).wait() is None


def test_stopped_before_its_first_tick_it_has_none(backend):
    tick = Tick()
    timer = started(Every(1), tick, 3600)
    timer.stop()
    ended(timer)
    assert tick.calls == 0


def test_an_exception_is_logged_each_time_and_does_not_end_it(backend, caplog):
    timer = ended(started(Every(0.001), Tick(ValueError("one"), SystemExit("two"), None)))
    assert timer.wait() == "the end"
    assert [record.message for record in caplog.records if record.exc_info] == [
        f"timer {timer.name}: a tick failed; the timer goes on"
    ] * 2
    assert "ValueError: one" in caplog.text
    assert "SystemExit: two" in caplog.text


def test_an_exception_ends_it_where_that_is_asked_for_and_is_its_result(backend, caplog):
    timer = ended(started(Every(0.001), Tick(None, ValueError("one"), None), stop_on_exception=True))
    with pytest.raises(ValueError, match="one"):
        timer.wait()
    assert [record.message for record in caplog.records] == [f"timer {timer.name} has failed and ended"]


def test_a_schedule_that_gives_up_is_its_result_and_one_line(backend, caplog):
    timer = ended(started(BackOff(0.001, timeout=0.01), lambda: False))
    with pytest.raises(TimedOutError, match=r"gives up before 0\.01 s are over"):
        timer.wait()
    (record,) = caplog.records
    assert (record.levelname, record.exc_info) == ("WARNING", None)
    assert "has ended: failed" in record.message


def test_an_interval_with_a_timeout_gives_up_too(backend):
    timer = ended(started(Every(0.001, timeout=0.0025), lambda: None))
    with pytest.raises(TimedOutError, match=r"not done within 0\.0025 s"):
        timer.wait()
    assert timer.progress.ticks >= 1


def test_a_tick_that_times_out_by_itself_is_an_exception_like_others(backend):
    timer = ended(started(Every(0.001), Tick(TimeoutError("a socket"))))
    assert timer.wait() == "the end"


def test_a_dynamic_one_does_as_its_ticks_say(backend):
    begun = []
    timer = ended(started(Dynamic(maximum=0.05), Tick(*[partial(tell, begun, pause) for pause in (0, 3600, None)])))
    assert timer.wait() == "the end"
    assert begun[2] - begun[1] >= 0.05


def tell(begun, pause):
    begun.append(time.monotonic())
    return pause


def test_a_dynamic_one_that_does_not_know_when_ends(backend, caplog):
    timer = ended(started(Dynamic(), lambda: None))
    with pytest.raises(TypeError, match="a tick returned None"):
        timer.wait()
    assert "has failed and ended" in caplog.text


def test_ticks_that_take_too_long_are_counted_and_said(backend, caplog):
    def slow():
        backend.sleep(0.05)
        if timer.progress.ticks == 2:
            raise TimerDone

    with caplog.at_level(logging.WARNING):
        timer = started(Every(0.02), slow, 0.01)
        ended(timer)
    said = re.findall(r"slow: a tick came late or took too long and cost (\d+) more", caplog.text)
    assert len(said) == 2
    assert timer.progress.missed == sum(map(int, said)) >= 4


def test_it_is_forgotten_when_it_has_ended_however_that_is(backend):
    forgotten = []
    done = ended(started(Every(1), Tick(), done=forgotten.append))
    failed = ended(started(Every(1), Tick(ValueError()), stop_on_exception=True, done=forgotten.append))
    killed = started(Every(1), Tick(), 3600, done=forgotten.append)
    killed.kill()
    ended(killed)
    assert forgotten == [done, failed, killed]


def test_who_waits_for_a_killed_one_goes_on(backend):
    inside, for_ever = backend.event(), backend.event()

    def tick():
        inside.set()
        for_ever.wait(PATIENCE)

    timer = started(Every(1), tick)
    assert inside.wait(PATIENCE)
    timer.kill()
    if backend.name == "threading":
        for_ever.set()  # a thread cannot be killed
    assert ended(timer).wait() is None


def test_join_has_a_limit(backend):
    timer = started(Every(3600), Tick(None))
    assert timer.join(0.001) is False
    timer.stop()
    assert ended(timer).progress.ticks <= 1


def test_a_call_with_arguments_is_known_by_its_own_name(backend):
    assert Timer(Every(1), partial(partial(tell, []), None)).name == "tell"


class Clock:
    """A backend with one task and a clock that only waiting and ticks advance."""

    kills = ()

    def __init__(self, durations):
        self.now, self.durations, self.ticks = START, list(durations), []

    def spawn(self, call):
        self.run = call

    def event(self):
        return self

    def is_set(self):
        return not self.durations

    def wait(self, timeout):
        assert 0 <= timeout < 2**31 / 1000  # what epoll takes
        self.now += timeout
        return self.is_set()

    def tick(self):
        self.ticks.append(self.now - START)
        self.now += self.durations.pop(0)


def ticks(monkeypatch, schedule, durations, initial_delay=None):
    """Return when the ticks of a timer begin, in seconds after its start, if they take `durations`."""
    clock = Clock(durations)
    monkeypatch.setattr(backends, "_selected", clock)
    monkeypatch.setattr(timers, "monotonic", lambda: clock.now)
    started(schedule, clock.tick, initial_delay)
    clock.run()
    return clock.ticks


def test_a_timer_does_not_drift(monkeypatch):
    begun = ticks(monkeypatch, Every(0.1), [0.03, 0.07] * 500, 1)
    assert begun == pytest.approx([1 + 0.1 * beat for beat in range(1000)])


def test_a_tick_too_long_costs_beats_and_the_rest_keep_theirs(monkeypatch):
    assert ticks(monkeypatch, Every(1.0), [0.1, 2.5, 0.1, 0.1]) == pytest.approx([0, 1, 4, 5])


def test_a_pause_begins_at_the_end_of_a_tick_where_there_is_no_beat(monkeypatch):
    assert ticks(monkeypatch, Dynamic(1), [0.1, 2.5, 0.1]) == pytest.approx([0, 1.1, 4.6])


MONTH = 30 * 24 * 3600.0


def test_a_pause_may_be_longer_than_epoll_can_wait(monkeypatch):
    assert ticks(monkeypatch, Every(MONTH), [1, 1, 1], MONTH) == [MONTH, 2 * MONTH, 3 * MONTH]


@pytest.mark.parametrize("seconds", [MONTH, 1e10, math.inf])
def test_a_pause_of_any_length_ends_with_a_stop(backend, seconds):
    begun = backend.event()
    timer = started(Every(seconds), begun.set)
    begun.wait(PATIENCE)
    assert not timer.join(0.05)  # it waits, and whoever waits for it
    timer.stop()
    assert ended(timer).wait() is None
