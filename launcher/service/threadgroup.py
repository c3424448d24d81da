"""A service's threads and timers, stopped as one.

Threads are the backend's tasks: green or native.  oslo.service's `ThreadGroup` with three repairs:
a stop interrupts a timer's sleep, an exception does not end a timer, and a timer keeps its beat.

Guarantees: ticks of a timer never overlap.  They are due at start + n * interval on the monotonic
clock; a tick that takes too long makes the timer skip beats, never bunch them.  Asked from inside by
one of its own threads or ticks, `stop()` and `wait()` leave that one out.  All of it may be called from any thread.

Locks are held for moments in which no green thread switches, so they make no difference to those; a signal handler
that comes in such a moment may take them once more.
"""

from __future__ import annotations

import logging
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("launcher.service")


class Thread:
    """A call that runs beside the others (oslo.service: the same).

    `done` is called with the thread when the call has ended, before its links are.
    """

    def __init__(self, done: Callable[[Thread], None], callback: Callable[..., object], args: Any, kwargs: Any) -> None:
        self._done = done
        self._call = (callback, args, kwargs)
        self._links: list[tuple[Callable[..., object], Any, Any]] = []
        self._lock = RLock()
        self._begun = False
        self._over = False
        self._task: backends.Task | None = None

    @property
    def ident(self) -> int | None:
        """What `threading.get_ident()` says inside the call; None before it is started."""
        return self._task.ident if self._task is not None else None

    def start(self) -> None:
        """Begin the call."""
        with self._lock:  # the call may look at itself
            self._task = backends.current().spawn(self._run)

    def stop(self) -> None:
        """End the call now where the backend can; from inside the call itself this does nothing."""
        if self._task is not None:
            self._task.kill()
        with self._lock:
            never, self._begun = not self._begun, True
        if never:
            self._end()

    def wait(self) -> None:
        """Return when the call has ended, however it ended."""
        if self._task is not None:
            self._task.wait()

    def link(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `func(thread, *args, **kwargs)` when the call has ended, at once if it has."""
        with self._lock:
            if not self._over:
                self._links.append((func, args, kwargs))
                return
        func(self, *args, **kwargs)

    def _run(self) -> None:
        with self._lock:
            stopped, self._begun = self._begun, True
        if stopped:
            return
        callback, args, kwargs = self._call
        try:
            backends.current().guard(callback, *args, **kwargs)
        finally:
            self._end()

    def _end(self) -> None:
        self._done(self)
        with self._lock:
            self._over = True
        for func, args, kwargs in self._links:
            backends.current().guard(func, self, *args, **kwargs)


class Timer:
    """A call that is repeated (oslo.service: `FixedIntervalLoopingCall`).

    `done` is called with the timer when its last tick has ended.
    """

    def __init__(
        self, done: Callable[[Timer], None], interval: float, callback: Callable[..., object], args: Any, kwargs: Any
    ) -> None:
        if interval <= 0:
            raise ValueError(f"interval = {interval}: must be positive")
        self.interval = interval
        self._call = (callback, args, kwargs)
        self._stopped = backends.current().event()
        self._first = 0.0
        self._thread = Thread(lambda _thread: done(self), self._run, (), {})

    def start(self, initial_delay: float) -> None:
        """Begin; the first tick comes after `initial_delay` seconds."""
        self._first = monotonic() + initial_delay
        self._thread.start()

    def stop(self) -> None:
        """Let no further tick begin; one under way goes on."""
        self._stopped.set()

    def kill(self) -> None:
        """Stop, and end a tick under way."""
        self.stop()
        self._thread.stop()

    def wait(self) -> None:
        """Return when the timer was stopped and its last tick has ended."""
        self._thread.wait()

    def _run(self) -> None:
        callback, args, kwargs = self._call
        beat = 0
        while not self._stopped.wait(max(0.0, self._first + beat * self.interval - monotonic())):
            backends.current().guard(callback, *args, **kwargs)
            beat = self._next_beat(beat, monotonic() - self._first)

    def _next_beat(self, beat: int, elapsed: float) -> int:
        """Return the number of the next beat that is still to come, `elapsed` seconds after beat 0."""
        missed = int(elapsed / self.interval) - beat
        if missed <= 0:
            return beat + 1
        name = getattr(self._call[0], "__qualname__", repr(self._call[0]))
        logger.warning("timer %s: a tick took longer than its %s s and cost %d more", name, self.interval, missed)
        return beat + missed + 1


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

    def add_timer(
        self,
        interval: float,
        callback: Callable[..., object],
        initial_delay: float | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Timer:
        """Call `callback` every `interval` seconds, first after `initial_delay` seconds (None: at once).

        An exception in it is logged with its traceback and does not end the timer.
        Raises `ValueError` if the interval is not positive.
        """
        timer = Timer(self.timer_done, interval, callback, args, kwargs)
        with self._lock:
            timer.start(initial_delay or 0.0)
            self.timers.append(timer)
        return timer

    def stop_timers(self) -> None:
        """Let no further tick begin."""
        for timer in list(self.timers):
            timer.stop()

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
                one.wait()
            awaited |= pending

    def _running(self) -> set[Thread | Timer]:
        with self._lock:
            return {*self.timers, *self.threads}

    def timer_done(self, timer: Timer) -> None:
        """Forget a timer whose last tick has ended (oslo.service: the same)."""
        with self._lock:
            self.timers.remove(timer)

    def thread_done(self, thread: Thread) -> None:
        """Forget a thread that has ended (oslo.service: the same)."""
        with self._lock:
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
