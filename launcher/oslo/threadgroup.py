"""Threads and timers, in oslo.service's words: names and signatures are its own.

The threads are those of `launcher.service.threadgroup`, the timers looping calls.  What oslo.service does otherwise on
its two backends is so here: on green threads a full group waits and a thread can be killed; on native threads a full
group raises, and a stop that is not graceful forgets the threads, which run out by themselves.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

from launcher.oslo.loopingcall import DynamicLoopingCall, FixedIntervalLoopingCall
from launcher.service import threadgroup
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from launcher.oslo.loopingcall import LoopingCallBase
    from launcher.service import threads

__all__ = ["Thread", "ThreadGroup"]

GREEN_SIZE = 10  # oslo.service's defaults
NATIVE_SIZE = 1000


class Thread:
    """A call that runs beside the others; `thread` is the one of ours that runs it."""

    def __init__(self, thread: threads.Thread, group: ThreadGroup | None = None, link: bool = True) -> None:
        self.thread = thread
        self.group = group
        if link and group is not None:
            self.link(lambda _thread: group.thread_done(self))

    @property
    def ident(self) -> int | None:
        """What `threading.get_ident()` says inside the call."""
        return self.thread.ident

    def stop(self) -> None:
        """End the call where it waits; a native thread goes on."""
        self.thread.stop()

    def wait(self) -> Any:
        """Return what the call returned, or raise what it raised; None if it was stopped, and for a native thread."""
        if backends.has_threads():
            self.thread.join()
            return None
        return self.thread.wait()

    def link(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `func(thread, *args, **kwargs)` when the call has ended, at once if it has."""
        self.thread.link(lambda _thread: func(self, *args, **kwargs))

    def cancel(self, *_throw_args: object) -> None:
        """Let the call not begin; one that has begun goes on."""
        self.thread.cancel()


class ThreadGroup:
    """Threads and timers that are stopped together.

    So many threads run at a time; both arguments mean that.
    """

    def __init__(self, thread_pool_size: int | None = None, *, max_threads: int | None = None) -> None:
        if thread_pool_size is None:
            thread_pool_size = max_threads
        if thread_pool_size is None:
            thread_pool_size = NATIVE_SIZE if backends.has_threads() else GREEN_SIZE
        self.thread_pool_size = thread_pool_size
        self.threads: list[Thread] = []
        self.timers: list[LoopingCallBase] = []
        self._lock = threading.RLock()
        self._group = threadgroup.ThreadGroup(thread_pool_size)

    @property
    def max_threads(self) -> int:
        """The same as `thread_pool_size`."""
        warnings.warn("ThreadGroup.max_threads is now thread_pool_size", DeprecationWarning, stacklevel=2)
        return self.thread_pool_size

    def add_thread(self, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Thread:
        """Run `callback` beside the caller.

        While the group is full, wait for a vacancy; on native threads raise `RuntimeError`.
        """
        if not backends.has_threads():
            return self._add(callback, args, kwargs)
        with self._lock:
            if len(self.threads) >= self.thread_pool_size:
                raise RuntimeError("Maximum number of threads reached")
            return self._add(callback, args, kwargs)

    def _add(self, callback: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Thread:
        thread = Thread(self._group.add_thread(callback, *args, **kwargs), self, link=False)
        self.threads.append(thread)
        thread.link(self.thread_done)
        return thread

    def thread_done(self, thread: Thread) -> None:
        """Forget a thread; called when it has ended."""
        _discard(self.threads, thread)

    def add_timer_args(
        self,
        interval: float,
        callback: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        initial_delay: float | None = None,
        stop_on_exception: bool = True,
    ) -> FixedIntervalLoopingCall:
        """Call `callback` every `interval` seconds, as a looping call does."""
        timer = FixedIntervalLoopingCall(callback, *(args or ()), **(kwargs or {}))
        timer.start(interval=interval, initial_delay=initial_delay, stop_on_exception=stop_on_exception)
        self.timers.append(timer)
        return timer

    def add_timer(
        self,
        interval: float,
        callback: Callable[..., object],
        initial_delay: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> FixedIntervalLoopingCall:
        """Do the same; arguments for `callback` are better given to `add_timer_args()`."""
        _warn_of_arguments("add_timer", args, kwargs)
        return self.add_timer_args(interval, callback, args, kwargs, initial_delay=initial_delay)

    def add_dynamic_timer_args(
        self,
        callback: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        initial_delay: float | None = None,
        periodic_interval_max: float | None = None,
        stop_on_exception: bool = True,
    ) -> DynamicLoopingCall:
        """Call `callback` again as many seconds later as it returns, as a looping call does."""
        timer = DynamicLoopingCall(callback, *(args or ()), **(kwargs or {}))
        timer.start(initial_delay, periodic_interval_max, stop_on_exception)
        self.timers.append(timer)
        return timer

    def add_dynamic_timer(
        self,
        callback: Callable[..., object],
        initial_delay: float | None = None,
        periodic_interval_max: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> DynamicLoopingCall:
        """Do the same; arguments for `callback` are better given to `add_dynamic_timer_args()`."""
        _warn_of_arguments("add_dynamic_timer", args, kwargs)
        return self.add_dynamic_timer_args(callback, args, kwargs, initial_delay, periodic_interval_max)

    def timer_done(self, timer: LoopingCallBase) -> None:
        """Forget a timer."""
        _discard(self.timers, timer)

    def stop_timers(self, wait: bool = False) -> None:
        """Let no further call of a timer begin, and forget them; with `wait`, those under way have ended then."""
        timers, self.timers = self.timers, []
        for timer in timers:
            timer.stop()
        if wait:
            _join(timers)

    def stop(self, graceful: bool = False) -> None:
        """Stop the timers; then wait for the threads, or kill them unless `graceful`, all but the calling one."""
        self.stop_timers(wait=graceful)
        if graceful:
            self._join_threads()
            return
        self._group.stop()
        if backends.has_threads():
            self.threads = [thread for thread in self.threads if thread.ident == threading.get_ident()]

    def wait(self) -> None:
        """Return when every timer and every thread has ended, but not for the calling one.

        What they raise is logged and goes no further.
        """
        _join(self.timers)
        self._join_threads()

    def waitall(self) -> None:
        """Do the same."""
        self.wait()

    def cancel(self, *throw_args: object, timeout: float | None = None, wait_time: float = 1) -> None:  # noqa: ARG002
        """Let threads that have not begun not begin; deprecated.

        After `timeout` seconds kill those that still run.  The wait ends with the last one, whatever `wait_time` is.
        """
        warnings.warn("ThreadGroup.cancel() is deprecated", DeprecationWarning, stacklevel=2)
        self._group.cancel(timeout)

    def _join_threads(self) -> None:
        awaited: set[Thread] = set()
        while pending := set(self.threads) - awaited:
            for thread in pending:
                thread.thread.join()
            awaited |= pending


def _join(timers: Iterable[LoopingCallBase]) -> None:
    for timer in list(timers):
        timer.join()


def _discard(things: list[Any], thing: object) -> None:
    if thing in things:
        things.remove(thing)


def _warn_of_arguments(name: str, args: object, kwargs: object) -> None:
    if args or kwargs:
        warnings.warn(f"arguments of {name}() belong to {name}_args()", DeprecationWarning, stacklevel=3)
