"""A service's threads and timers, stopped as one.

Threads are the backend's tasks: green or native.  oslo.service's `ThreadGroup` with three repairs:
a stop interrupts a timer's sleep, an exception does not end a timer, and a timer keeps its beat.

Guarantees: asked from inside by one of its own threads or ticks, `stop()` and `wait()` leave that one out.  All of it
may be called from any thread.
"""

from __future__ import annotations

from functools import partial
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher.service.schedules import Dynamic, Every
from launcher.service.threads import Thread
from launcher.service.timers import Timer
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from launcher.service.schedules import Schedule


class ThreadGroup:
    """Threads and timers (oslo.service: the same).

    `thread_pool_size` is the number of threads at a time; timers do not count.
    """

    def __init__(self, thread_pool_size: int = 1000) -> None:
        self._size = thread_pool_size
        self._lock = RLock()
        self._vacancy: backends.Event | None = None
        self.threads: list[Thread] = []
        self.timers: list[Timer] = []

    def add_thread(self, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Thread:
        """Run `callback` beside the caller; wait first while the group is full.

        An exception in it is logged with its traceback.
        """
        thread = Thread(self.thread_done, callback, args, kwargs)
        while (vacancy := self._begin(thread)) is not None:
            vacancy.wait()
        return thread

    def repeat(
        self,
        schedule: Schedule,
        callback: Callable[[], object],
        *,
        initial_delay: float | None = None,
        stop_on_exception: bool = False,
    ) -> Timer:
        """Call `callback` as a schedule says, first after `initial_delay` seconds (None: at once).

        An exception in it is logged with its traceback; it ends the timer with `stop_on_exception`, `TimerDone` always.
        """
        timer = Timer(schedule, callback, stop_on_exception=stop_on_exception, done=self.timer_done)
        with self._lock:
            timer.start(initial_delay)
            self.timers.append(timer)  # it cannot be over: its end waits for the lock
        return timer

    def add_timer(
        self,
        interval: float,
        callback: Callable[..., object],
        initial_delay: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Timer:
        """Call `callback` every `interval` seconds; see `repeat`.

        Raises `ValueError` if the interval is not positive.
        """
        return self.repeat(Every(interval), partial(callback, *args, **kwargs), initial_delay=initial_delay)

    def add_timer_args(  # noqa: PLR0913, PLR0917 - oslo.service's signature
        self,
        interval: float,
        callback: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        initial_delay: float | None = None,
        stop_on_exception: bool = False,  # noqa: FBT001, FBT002
    ) -> Timer:
        """Do as `add_timer` does; oslo.service stops on an exception by default."""
        return self.repeat(
            Every(interval),
            partial(callback, *(args or ()), **(kwargs or {})),
            initial_delay=initial_delay,
            stop_on_exception=stop_on_exception,
        )

    def add_dynamic_timer(
        self,
        callback: Callable[..., object],
        initial_delay: float | None = None,
        periodic_interval_max: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Timer:
        """Call `callback` again after as many seconds as it returns, at most `periodic_interval_max`; see `repeat`."""
        schedule = Dynamic(periodic_interval_max)
        return self.repeat(schedule, partial(callback, *args, **kwargs), initial_delay=initial_delay)

    def add_dynamic_timer_args(  # noqa: PLR0913, PLR0917 - oslo.service's signature
        self,
        callback: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        initial_delay: float | None = None,
        periodic_interval_max: float | None = None,
        stop_on_exception: bool = False,  # noqa: FBT001, FBT002
    ) -> Timer:
        """Do as `add_dynamic_timer` does; oslo.service stops on an exception by default."""
        return self.repeat(
            Dynamic(periodic_interval_max),
            partial(callback, *(args or ()), **(kwargs or {})),
            initial_delay=initial_delay,
            stop_on_exception=stop_on_exception,
        )

    def stop_timers(self, wait: bool = False) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
        """Let no further tick begin; with `wait`, return when those under way have ended."""
        timers = list(self.timers)
        for timer in timers:
            timer.stop()
        for timer in timers if wait else ():
            timer.join()

    def cancel(self, timeout: float | None = None) -> None:
        """Let threads that have not begun not begin.

        With `timeout`, wait so many seconds for the others to end; then stop as `stop()` does if one still runs.
        """
        for thread in list(self.threads):
            thread.cancel()
        if timeout is None:
            return
        deadline = monotonic() + timeout
        if not all(thread.join(max(0.0, deadline - monotonic())) for thread in list(self.threads)):
            self.stop()

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
        """Stop the timers, then wait for the threads and for ticks under way, or kill them unless `graceful`."""
        self.stop_timers()
        if graceful:
            self.wait()
            return
        for thread in list(self.threads):
            thread.stop()
        for timer in list(self.timers):
            timer.kill()

    def wait(self) -> None:
        """Return when no thread runs and every timer was stopped, those added meanwhile included."""
        awaited: set[Thread | Timer] = set()
        while pending := self._running() - awaited:
            for one in pending:
                one.join()
            awaited |= pending

    def _running(self) -> set[Thread | Timer]:
        with self._lock:
            return {*self.timers, *self.threads}

    def timer_done(self, timer: Timer) -> None:
        """Forget a timer whose last tick has ended (oslo.service: the same)."""
        with self._lock:
            if timer in self.timers:
                self.timers.remove(timer)

    def thread_done(self, thread: Thread) -> None:
        """Forget a thread that has ended (oslo.service: the same)."""
        with self._lock:
            if thread in self.threads:
                self.threads.remove(thread)
            if self._vacancy is not None:
                self._vacancy.set()

    def _begin(self, thread: Thread) -> backends.Event | None:
        """Start a thread; if the group is full, return what is set when one of it has ended."""
        with self._lock:
            if len(self.threads) < self._size:
                thread.start()
                self.threads.append(thread)  # it cannot be over: its end waits for the lock
                return None
            if self._vacancy is None or self._vacancy.is_set():
                self._vacancy = backends.current().event()
            return self._vacancy
