"""Threads and timers of a service, on real green and native threads; the beat of a timer on a clock of its own."""

from __future__ import annotations

import logging
import sys
import time
from importlib import import_module
from itertools import count

import pytest

from launcher.service import threadgroup
from launcher.service.threadgroup import ThreadGroup
from launcher.worker import backends

PATIENCE = 10.0  # seconds


@pytest.fixture(params=backends.KINDS)
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


@pytest.fixture
def group(backend):
    group = ThreadGroup()
    yield group
    group.stop()


class Gate:
    """A call that says when it runs and returns when it may."""

    def __init__(self, backend):
        self.running = backend.event()
        self.may_end = backend.event()
        self.calls = self.ended = 0

    def __call__(self):
        self.calls += 1
        self.running.set()
        self.may_end.wait(PATIENCE)
        self.ended += 1


@pytest.fixture
def gate(backend):
    return Gate(backend)


@pytest.fixture
def restless():
    """Native threads take turns at every occasion."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def returned(backend, call, *args):
    """Spawn a call; return the event of its end."""
    end = backend.event()

    def run():
        call(*args)
        end.set()

    backend.spawn(run)
    return end


# threads


def test_a_thread_runs_its_callback_with_its_arguments(group):
    seen = []
    thread = group.add_thread(lambda *args, **kwargs: seen.append((args, kwargs)), 1, func=2, call=3)
    thread.wait()
    assert seen == [((1,), {"func": 2, "call": 3})]
    assert group.threads == []


def test_a_graceful_stop_lets_threads_finish(backend, group, gate):
    group.add_thread(gate)
    gate.running.wait(PATIENCE)
    stopped = returned(backend, group.stop, True)
    backend.sleep(0)
    assert not stopped.is_set()
    gate.may_end.set()
    assert stopped.wait(PATIENCE)
    assert gate.ended == 1


green_only = pytest.mark.parametrize("backend", ["eventlet"], indirect=True)


@green_only
def test_a_stop_that_is_not_graceful_kills_threads(group, gate):
    group.add_thread(gate)
    gate.running.wait(PATIENCE)
    group.stop()
    assert (gate.ended, group.threads) == (0, [])
    group.wait()


@pytest.mark.parametrize("backend", ["threading"], indirect=True)
def test_a_stop_lets_native_threads_run_out_but_does_not_wait(backend, group, gate):
    tick = Gate(backend)
    group.add_thread(gate)
    group.add_timer(0.001, tick)
    assert gate.running.wait(PATIENCE)
    assert tick.running.wait(PATIENCE)
    group.stop()
    assert (gate.ended, tick.ended) == (0, 0)
    waited = returned(backend, group.wait)
    gate.may_end.set()
    tick.may_end.set()
    assert waited.wait(PATIENCE)
    assert (gate.ended, tick.ended, tick.calls) == (1, 1, 1)


def test_a_thread_stopped_before_it_began_never_begins(backend, gate):
    ends = []
    thread = threadgroup.Thread(ends.append, gate, (), {})
    thread.stop()
    thread.start()
    thread.wait()
    assert (gate.calls, ends) == (0, [thread])


def test_no_vacancy_is_missed_and_none_is_given_twice(backend, restless):
    group, numbers = ThreadGroup(3), count()
    most, done = [], []

    def work():
        most.append(len(group.threads))
        backend.sleep(0.0001)
        done.append(next(numbers))

    def add():
        for _ in range(50):
            group.add_thread(work)

    adders = [backend.spawn(add) for _ in range(8)]
    ended = returned(backend, lambda: [adder.wait() for adder in adders])
    assert ended.wait(2 * PATIENCE)
    group.wait()
    assert len(done) == 400
    assert max(most) <= 3


@green_only
def test_a_thread_killed_before_it_began_is_forgotten(group, gate):
    ends = []
    thread = group.add_thread(gate)
    thread.link(ends.append)
    group.stop()
    thread.stop()
    assert (gate.calls, group.threads, len(ends)) == (0, [], 1)


@pytest.mark.parametrize("graceful", [True, False])
def test_a_thread_may_stop_its_own_group(backend, group, graceful):
    end = returned(backend, lambda: group.add_thread(group.stop, graceful).wait())
    assert end.wait(PATIENCE)


def test_wait_includes_threads_added_meanwhile(backend, group, gate):
    waiting = backend.event()

    def add_another():
        waiting.wait(PATIENCE)
        group.add_thread(gate)

    group.add_thread(add_another)
    waited = returned(backend, group.wait)
    backend.sleep(0)
    waiting.set()
    gate.running.wait(PATIENCE)
    backend.sleep(0)
    assert not waited.is_set()
    gate.may_end.set()
    assert waited.wait(PATIENCE)


def test_an_exception_in_a_thread_is_logged(group, caplog):
    def fail():
        raise RuntimeError("broken")

    group.add_thread(fail).wait()
    assert "RuntimeError: broken" in caplog.text
    assert "fail failed" in caplog.text


def test_a_full_group_waits_for_a_vacancy(backend, gate):
    group = ThreadGroup(1)
    second = Gate(backend)
    group.add_thread(gate)
    added = returned(backend, group.add_thread, second)
    gate.running.wait(PATIENCE)
    backend.sleep(0)
    assert (added.is_set(), second.calls) == (False, 0)
    gate.may_end.set()
    assert second.running.wait(PATIENCE)
    second.may_end.set()
    group.wait()


def test_links_are_called_at_the_end_or_at_once_after_it(group):
    ends = []
    thread = group.add_thread(lambda: None)
    thread.link(lambda one, word: ends.append((one, word)), "early")
    thread.wait()
    thread.link(lambda one, word: ends.append((one, word)), "late")
    assert ends == [(thread, "early"), (thread, "late")]


# timers


def test_a_timer_ticks_at_once_and_again(backend, group):
    ticks, third = [], backend.event()

    def tick(word):
        ticks.append(word)
        if len(ticks) == 3:
            third.set()

    group.add_timer(0.01, tick, None, "word")
    assert third.wait(PATIENCE)
    assert ticks[:3] == ["word"] * 3


def test_an_initial_delay_comes_before_the_first_tick(backend, group):
    first = backend.event()
    start = time.monotonic()
    group.add_timer(60, first.set, 0.2)
    assert first.wait(PATIENCE)
    assert time.monotonic() - start >= 0.2


def test_an_exception_in_a_tick_is_logged_and_the_timer_goes_on(backend, group, caplog):
    ticks, third = [], backend.event()

    def fail():
        ticks.append(1)
        if len(ticks) == 3:
            third.set()
        raise SystemExit("broken") if len(ticks) == 2 else RuntimeError("broken")

    group.add_timer(0.01, fail)
    assert third.wait(PATIENCE)
    assert "RuntimeError: broken" in caplog.text
    assert "SystemExit: broken" in caplog.text


def test_stopping_interrupts_the_sleep(backend, group):
    ticked = backend.event()
    timer = group.add_timer(3600, ticked.set)
    ticked.wait(PATIENCE)
    group.stop_timers()
    waited = returned(backend, timer.wait)
    assert waited.wait(PATIENCE)
    assert group.timers == []


def test_a_graceful_stop_lets_a_tick_finish_and_starts_none(backend, group, gate):
    group.add_timer(0.001, gate)
    gate.running.wait(PATIENCE)
    stopped = returned(backend, group.stop, True)
    backend.sleep(0.01)
    assert not stopped.is_set()
    gate.may_end.set()
    assert stopped.wait(PATIENCE)
    assert (gate.calls, gate.ended) == (1, 1)


@green_only
def test_a_stop_that_is_not_graceful_kills_a_tick(group, gate):
    group.add_timer(0.001, gate)
    gate.running.wait(PATIENCE)
    group.stop()
    group.wait()
    assert (gate.calls, gate.ended) == (1, 0)


@pytest.mark.parametrize("graceful", [True, False])
def test_a_tick_may_stop_its_own_group(backend, group, graceful):
    end = backend.event()

    def tick():
        group.stop(graceful)
        end.set()

    timer = group.add_timer(0.001, tick)
    assert end.wait(PATIENCE)
    timer.wait()


def test_who_waits_still_waits_for_a_tick_that_stopped_the_group_itself(backend, group, gate):
    def tick():
        group.stop(graceful=True)
        gate()

    group.add_timer(0.001, tick)
    gate.running.wait(PATIENCE)
    waited = returned(backend, group.wait)
    backend.sleep(0)
    assert not waited.is_set()
    gate.may_end.set()
    assert waited.wait(PATIENCE)


@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_must_be_positive(group, interval):
    with pytest.raises(ValueError, match="must be positive"):
        group.add_timer(interval, print)
    assert group.timers == []


class Clock:
    """A backend with one task and a clock that only waiting and `pass_time` advance."""

    def __init__(self, beats):
        self.now = 100.0
        self.beats = beats
        self.ticks = []

    def spawn(self, call, *args):
        self.run = lambda: call(*args)

    def event(self):
        return self

    def set(self):
        pass

    def wait(self, timeout):
        assert timeout >= 0
        self.now += timeout
        return len(self.ticks) >= self.beats

    def guard(self, call, *args):
        call(*args)


def beats(monkeypatch, clock, interval, durations):
    """Return when the ticks of a timer begin, in seconds after the first, if they take `durations`."""
    monkeypatch.setattr(backends, "_selected", clock)
    monkeypatch.setattr(threadgroup, "monotonic", lambda: clock.now)

    def tick():
        clock.ticks.append(clock.now - 100.0)
        clock.now += durations[len(clock.ticks) - 1]

    ThreadGroup().add_timer(interval, tick)
    clock.run()
    return clock.ticks


def test_a_timer_does_not_drift(monkeypatch):
    ticks = beats(monkeypatch, Clock(1000), 0.1, [0.03, 0.07] * 500)
    assert ticks == pytest.approx([0.1 * beat for beat in range(1000)])


def test_a_tick_too_long_skips_beats_and_keeps_the_rest(monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        ticks = beats(monkeypatch, Clock(4), 1.0, [0.1, 2.5, 0.1, 0.1])
    assert ticks == pytest.approx([0, 1, 4, 5])
    assert "tick took longer than its 1.0 s and cost 2 more" in caplog.text
