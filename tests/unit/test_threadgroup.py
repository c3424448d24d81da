"""Threads and timers of a service, on real green and native threads."""

from __future__ import annotations

import sys
import time
from functools import partial
from importlib import import_module
from itertools import count

import pytest

from launcher.service.schedules import BackOff
from launcher.service.threadgroup import ThreadGroup
from launcher.service.threads import Thread
from launcher.service.timers import TimerDone
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

    def call(*args, **kwargs):
        seen.append((args, kwargs))
        return "result"

    assert group.add_thread(call, 1, func=2, call=3).wait() == "result"
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
    thread = Thread(ends.append, gate, (), {})
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


def test_an_exception_in_a_thread_is_logged_and_raised_in_who_asks(group, caplog):
    def fail():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
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


# dynamic timers, and other schedules


def test_a_dynamic_timer_has_its_arguments_and_its_delay(backend, group):
    seen, second = [], backend.event()

    def tick(*args, **kwargs):
        seen.append((args, kwargs))
        if len(seen) == 2:
            second.set()

    group.add_dynamic_timer(tick, 0.001, 0.001, "one", word="two")
    assert second.wait(PATIENCE)
    assert seen[:2] == [(("one",), {"word": "two"})] * 2


@pytest.mark.parametrize("stops", [True, False])
def test_timers_stop_on_an_exception_if_they_are_told_to(backend, group, stops):
    def fail(ticks, third):
        ticks.append(1)
        if len(ticks) == 3:
            third.set()
        raise RuntimeError

    ends = []
    for add in (partial(group.add_timer_args, 0.001), partial(group.add_dynamic_timer_args, periodic_interval_max=0)):
        ticks, third = [], backend.event()
        timer = add(fail, args=[ticks], kwargs={"third": third}, initial_delay=0.001, stop_on_exception=stops)
        ends.append(timer.join(PATIENCE) if stops else third.wait(PATIENCE))
        assert (len(ticks) == 1) is stops
    assert ends == [True, True]


def test_any_schedule_will_do_and_a_timer_that_is_done_is_forgotten(backend, group):
    calls = []

    def poll():
        calls.append(1)
        if len(calls) == 3:
            raise TimerDone("found")
        return False

    timer = group.repeat(BackOff(0.001), poll)
    assert timer.join(PATIENCE)
    assert (timer.wait(), group.timers) == ("found", [])


def test_stopping_timers_may_wait_for_their_ticks(backend, group, gate):
    group.add_timer(0.001, gate)
    gate.running.wait(PATIENCE)
    stopped = returned(backend, group.stop_timers, True)
    backend.sleep(0)
    assert not stopped.is_set()
    gate.may_end.set()
    assert stopped.wait(PATIENCE)
    assert (gate.calls, gate.ended) == (1, 1)


def test_a_group_outlives_a_timer_that_failed(backend, group):
    def fail():
        raise RuntimeError

    group.add_timer_args(1, fail, stop_on_exception=True)
    group.wait()
    assert group.timers == []


def test_what_is_forgotten_by_hand_is_forgotten_once(group, caplog):
    thread, timer = group.add_thread(lambda: None), group.add_timer(60, lambda: None)
    group.thread_done(thread)
    group.timer_done(timer)
    timer.stop()
    thread.join(PATIENCE)
    timer.join(PATIENCE)
    assert (group.threads, group.timers, caplog.text) == ([], [], "")


# cancelling


@green_only
def test_a_cancelled_thread_does_not_begin(group, gate):
    thread = group.add_thread(gate)
    group.cancel()
    assert thread.join(PATIENCE)
    assert (gate.calls, group.threads) == (0, [])


def test_a_thread_that_has_begun_is_not_cancelled(group, gate):
    thread = group.add_thread(gate)
    gate.running.wait(PATIENCE)
    group.cancel()
    assert group.threads == [thread]
    gate.may_end.set()
    assert thread.join(PATIENCE)
    assert gate.ended == 1


@green_only
def test_cancelling_with_a_timeout_kills_what_takes_longer(group, gate):
    thread = group.add_thread(gate)
    gate.running.wait(PATIENCE)
    group.cancel(timeout=0.01)
    assert thread.join(PATIENCE)
    assert gate.ended == 0


def test_cancelling_with_a_timeout_waits_for_what_is_quick(backend, group, gate):
    group.add_thread(gate)
    gate.running.wait(PATIENCE)
    cancelled = returned(backend, group.cancel, PATIENCE)
    gate.may_end.set()
    assert cancelled.wait(PATIENCE)
    assert gate.ended == 1
