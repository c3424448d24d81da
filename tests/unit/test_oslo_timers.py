"""Looping calls and thread groups of `launcher.oslo` on both backends; the wheel's own tests are about one of them."""

from __future__ import annotations

from importlib import import_module
from itertools import count
from threading import get_ident
from types import SimpleNamespace

import pytest

from launcher.oslo import backend as oslo_backend
from launcher.worker import backends

PATIENCE = 10.0  # seconds
HOUR = 3600


@pytest.fixture(params=sorted(backends.KINDS))
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    monkeypatch.setattr(oslo_backend, "_cached_backend", SimpleNamespace())
    monkeypatch.setattr(oslo_backend, "_cached_backend_type", oslo_backend.BackendType(request.param))
    return backend


@pytest.fixture
def loopingcall(backend):
    return import_module("launcher.oslo.loopingcall")


@pytest.fixture
def threadgroup(backend):
    return import_module("launcher.oslo.threadgroup")


@pytest.fixture
def group(threadgroup):
    group = threadgroup.ThreadGroup()
    yield group
    group.stop()


def native(backend):
    return backends.KINDS[backend.name].has_threads


def until(number, exception):
    """Return a function that raises at its call of this number, and returns false before."""
    numbers = count(1)

    def call():
        if next(numbers) >= number:
            raise exception
        return False

    return call


# looping calls


@pytest.mark.parametrize("value", [None, False, "value"])
def test_a_looping_call_returns_what_it_is_done_with(loopingcall, value):
    call = loopingcall.FixedIntervalLoopingCall(until(3, loopingcall.LoopingCallDone(value)))
    assert call.start(interval=0.001).wait() is value
    assert call.wait() is value
    assert loopingcall.LoopingCallDone().retvalue is True


def test_stopped_in_its_sleep_it_returns_true_at_once(backend, loopingcall):
    called = backend.event()
    call = loopingcall.FixedIntervalLoopingCall(called.set)
    done = call.start(interval=HOUR)
    assert called.wait(PATIENCE)
    assert not done.ready()
    assert call._running
    call.stop()
    assert done.wait() is True
    assert done.ready()


def test_who_waits_for_a_while_is_told_that_it_is_over(backend, loopingcall):
    call = loopingcall.FixedIntervalLoopingCall(print)
    done = call.start(HOUR, initial_delay=HOUR)
    if native(backend):
        with pytest.raises(RuntimeError, match="Timed out"):
            done.wait(0.001)
    else:
        assert done.wait(0.001) is None
    call.stop()


def test_it_runs_once_at_a_time_and_again_afterwards(loopingcall):
    call = loopingcall.DynamicLoopingCall(lambda: HOUR)
    done = call.start()
    with pytest.raises(RuntimeError, match="can only run one function at a time"):
        call.start()
    call.stop()
    done.wait()
    call.f = until(1, loopingcall.LoopingCallDone("again"))
    assert call.start().wait() == "again"


def test_one_that_was_not_started_says_so(loopingcall):
    call = loopingcall.FixedIntervalLoopingCall(print)
    assert call._running
    call.stop()
    with pytest.raises(RuntimeError, match="was not started"):
        call.wait()


def test_an_interval_may_be_nothing(loopingcall):
    call = loopingcall.FixedIntervalLoopingCall(until(100, loopingcall.LoopingCallDone()))
    assert call.start(0).wait() is True


def test_an_exception_ends_it_unless_it_is_told_otherwise(loopingcall, caplog):
    call = loopingcall.FixedIntervalLoopingCall(until(2, ValueError("broken")))
    with pytest.raises(ValueError, match="broken"):
        call.start(0.001).wait()
    calls = []

    def fail():
        calls.append(1)
        raise loopingcall.LoopingCallDone if len(calls) == 3 else ValueError("broken")

    assert loopingcall.FixedIntervalLoopingCall(fail).start(0.001, stop_on_exception=False).wait() is True
    assert caplog.text.count("ValueError: broken") == 3


def test_whoever_waits_hears_of_what_is_no_exception_too(loopingcall):
    call = loopingcall.FixedIntervalLoopingCall(until(2, SystemExit("broken")))
    with pytest.raises(SystemExit, match="broken"):
        call.start(0.001).wait()


def test_a_call_too_long_is_said(backend, loopingcall, caplog):
    slow = loopingcall.FixedIntervalLoopingCall(until(2, loopingcall.LoopingCallDone()))
    slow._elapsed = lambda _progress: 2.5
    slow.start(1).wait()
    assert "took 1.50 s longer than its interval" in caplog.text


def test_its_time_may_be_limited(loopingcall):
    call = loopingcall.FixedIntervalWithTimeoutLoopingCall(lambda: None)
    with pytest.raises(loopingcall.LoopingCallTimeOut, match="Looping call timed out after 0"):
        call.start(0.001, timeout=0.005).wait()


def test_a_back_off_ends_when_it_has_waited_in_vain_for_too_long(loopingcall):
    call = loopingcall.BackOffLoopingCall(lambda: False)
    with pytest.raises(loopingcall.LoopingCallTimeOut):
        call.start(starting_interval=0.001, timeout=0.01).wait()


def test_a_looping_call_of_ones_own(loopingcall):
    class Counting(loopingcall.LoopingCallBase):
        def start(self):
            self.seen = []
            return self._start(self._note, initial_delay=0.001)

        def _note(self, result, elapsed):
            self.seen.append((result, elapsed >= 0))
            return 0.001

    call = Counting(until(3, loopingcall.LoopingCallDone()))
    assert call.start().wait() is True
    assert call.seen == [(False, True)] * 2


def test_arguments_are_given_and_readable(loopingcall):
    def call(*args, **kwargs):
        raise loopingcall.LoopingCallDone((args, kwargs))

    looping = loopingcall.DynamicLoopingCall(call, 1, two=2)
    assert looping.start().wait() == ((1,), {"two": 2})
    assert (looping.args, looping.kw) == ((1,), {"two": 2})


# retries


def test_each_call_is_allowed_its_retries(loopingcall):
    calls = []

    @loopingcall.RetryDecorator(max_retry_count=2, inc_sleep_time=0.001, exceptions=(Exception,))
    def third_time(word):
        """Is lucky."""
        calls.append(word)
        if len(calls) % 3:
            raise ValueError("not yet")
        return word

    assert [third_time("one"), third_time("two")] == ["one", "two"]
    assert (len(calls), third_time.__name__, third_time.__doc__) == (6, "third_time", "Is lucky.")


def test_what_is_not_to_be_retried_is_raised(loopingcall):
    @loopingcall.RetryDecorator(max_retry_count=1, inc_sleep_time=0.001, exceptions=(ValueError,))
    def fail(*errors):
        raise next(remaining)

    for story in ([KeyError()], [ValueError(), KeyError()], [ValueError(), ValueError("last")]):
        remaining = iter(story)
        with pytest.raises(type(story[-1])):
            fail()
        assert next(remaining, None) is None


# thread groups


def test_the_size_of_a_group(backend, threadgroup):
    assert threadgroup.ThreadGroup().thread_pool_size == (1000 if native(backend) else 10)
    assert threadgroup.ThreadGroup(3).thread_pool_size == 3
    group = threadgroup.ThreadGroup(max_threads=4)
    with pytest.warns(DeprecationWarning, match="thread_pool_size"):
        assert group.max_threads == 4


def test_a_full_group_waits_or_raises(backend, threadgroup):
    group = threadgroup.ThreadGroup(1)
    may_end, second = backend.event(), backend.event()
    group.add_thread(may_end.wait, PATIENCE)
    if native(backend):
        with pytest.raises(RuntimeError, match="Maximum number of threads reached"):
            group.add_thread(second.set)
        may_end.set()
        group.wait()
    else:
        backend.spawn(may_end.set)
    group.add_thread(second.set)
    assert second.wait(PATIENCE)
    group.wait()


def test_a_thread_tells_its_result_where_it_is_green(backend, group, caplog):
    def fail():
        raise ValueError("broken")

    thread, failing = group.add_thread(lambda: (get_ident(), "result")), group.add_thread(fail)
    if native(backend):
        assert (thread.wait(), failing.wait()) == (None, None)
    else:
        assert thread.wait()[1] == "result"
        with pytest.raises(ValueError, match="broken"):
            failing.wait()
    group.wait()
    assert "ValueError: broken" in caplog.text
    assert group.threads == []


def test_a_link_is_called_with_the_thread(backend, group):
    ends = []
    thread = group.add_thread(lambda: "result")
    thread.link(lambda one, *args, **kwargs: ends.append((one, args, kwargs)), 1, two=2)
    thread.wait()
    assert ends == [(thread, (1,), {"two": 2})]


def test_a_stop_kills_threads_or_forgets_them(backend, group):
    inside, for_ever = backend.event(), backend.event()

    def work():
        inside.set()
        for_ever.wait(PATIENCE)

    thread = group.add_thread(work)
    assert inside.wait(PATIENCE)
    group.stop()
    assert group.threads == []
    group.wait()
    if native(backend):
        for_ever.set()
    assert thread.wait() is None


def test_who_waits_waits_for_threads_that_are_added_meanwhile_too(backend, group):
    ended = []

    def second():
        backend.sleep(0.01)
        ended.append("second")

    def first():
        backend.sleep(0.01)
        group.add_thread(second)

    group.add_thread(first)
    group.wait()
    assert ended == ["second"]


def test_a_thread_may_stop_its_own_group(backend, group):
    stopped = backend.event()

    def work():
        group.stop()
        group.stop(graceful=True)
        assert len(group.threads) == 1
        stopped.set()

    group.add_thread(work)
    assert stopped.wait(PATIENCE)


def test_timers_are_there_until_they_are_stopped_and_their_calls_may_be_waited_for(backend, group):
    calling, may_end = backend.event(), backend.event()

    def call():
        calling.set()
        may_end.wait(PATIENCE)

    timer = group.add_timer_args(HOUR, call)
    other = group.add_dynamic_timer_args(print, initial_delay=HOUR)
    assert group.timers == [timer, other]
    assert calling.wait(PATIENCE)
    backend.spawn(may_end.set)
    group.stop_timers(wait=True)
    assert may_end.is_set()
    assert group.timers == []
    assert (timer.wait(), other.wait()) == (True, True)


def test_a_failed_timer_does_not_disturb_who_waits(group):
    group.add_timer_args(HOUR, until(1, ValueError()))
    group.wait()
    group.stop(graceful=True)


def test_a_timer_may_stop_its_own_group(backend, group):
    stopped = backend.event()

    def call():
        group.stop(graceful=True)
        stopped.set()

    group.add_timer(0.001, call, 0.001)
    assert stopped.wait(PATIENCE)


def test_what_is_deprecated_says_so(group):
    with pytest.warns(DeprecationWarning, match="add_timer_args"):
        group.add_timer(HOUR, print, HOUR, "word")
    with pytest.warns(DeprecationWarning, match="add_dynamic_timer_args"):
        group.add_dynamic_timer(print, HOUR, HOUR, "word")
    with pytest.warns(DeprecationWarning, match="cancel"):
        group.cancel()
