"""Calls that are repeated, in oslo.service's words: names, signatures and arithmetic are its own.

The repeating is done by `launcher.service.timers`; what is added here is when the next call is due.  As in oslo.service
the call after one that took longer than its interval comes at once, and an exception ends a looping call unless
`stop_on_exception` is false.  Importing this chooses a backend, if none was chosen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial, wraps
from random import SystemRandom
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from launcher.oslo import backend
from launcher.service.schedules import Next, TimedOutError
from launcher.service.timers import Timer, TimerDone
from launcher.worker import backends
from launcher.worker.naming import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.service.schedules import Progress

    IdleFor = Callable[[Any, float], float]

__all__ = [
    "BackOffLoopingCall",
    "DynamicLoopingCall",
    "FixedIntervalLoopingCall",
    "FixedIntervalWithTimeoutLoopingCall",
    "LoopingCallBase",
    "LoopingCallDone",
    "LoopingCallTimeOut",
    "RetryDecorator",
]

LOG = logging.getLogger(__name__)

backend.get_backend()


class LoopingCallDone(TimerDone):
    """Raised by the function: it was the last call, and `wait()` returns `retvalue`."""

    def __init__(self, retvalue: Any = True) -> None:
        super().__init__(retvalue)
        self.retvalue = retvalue


class LoopingCallTimeOut(TimedOutError):
    """Raised by `wait()`: the call took longer to be done than it was given."""


class LoopingCallBase:
    """A function that is called again and again, with these arguments, once `start()` was called."""

    _KIND = "Looping call"

    def __init__(self, f: Any = None, *args: Any, **kw: Any) -> None:
        self.f = f
        self.args = args
        self.kw = kw
        self.done: Done | None = None
        """What `start()` returned last."""
        self._thread: Loop | None = None
        self._loop: Loop | None = None

    @property
    def name(self) -> str:
        """What a log calls it."""
        return name_of(self.f)

    def stop(self) -> None:
        """Let no further call begin; one under way goes on."""
        if self._loop is not None:
            self._loop.stop()

    def wait(self) -> Any:
        """Return what it was done with, when it is; True if it was stopped.  Raises what ended it."""
        if self.done is None:
            raise RuntimeError(f"{self._KIND} was not started")
        return self.done.wait()

    def join(self) -> None:
        """Return when it has ended, if it was started; from inside the function, at once."""
        if self._loop is not None:
            self._loop.join()

    @property
    def _running(self) -> bool:
        return self._loop is None or not self._loop.stopped

    def _start(self, idle_for: IdleFor, initial_delay: float | None = None, stop_on_exception: bool = True) -> Done:
        """Begin; `idle_for(result, elapsed)` says how many seconds after a call the next one comes.

        Raises `RuntimeError` if it runs already.
        """
        if self._thread is not None:
            raise RuntimeError(f"{self._KIND} can only run one function at a time")
        self._thread = self._loop = Loop(self, idle_for, stop_on_exception=stop_on_exception)
        self.done = Done(self._loop)
        self._loop.start(initial_delay)
        return self.done

    def _on_done(self, loop: Timer) -> None:
        if self._thread is loop:
            self._thread = None

    def _sleep(self, timeout: float) -> None:
        if self._loop is not None:
            self._loop.sleep(timeout)

    def _elapsed(self, progress: Progress) -> float:
        """Return how long the last call took, in seconds."""
        return progress.ended - progress.began


class Loop(Timer):
    """The timer of a looping call, which sleeps as that does."""

    def __init__(self, call: LoopingCallBase, idle_for: IdleFor, *, stop_on_exception: bool) -> None:
        super().__init__(
            _Idle(call, idle_for),
            partial(call.f, *call.args, **call.kw),
            stop_on_exception=stop_on_exception,
            done=call._on_done,  # noqa: SLF001
        )
        self._outcome.result = True  # unless it is done with another
        self._call = call

    def sleep(self, seconds: float) -> None:
        """Wait for so long, or until it is stopped."""
        super()._sleep(seconds)

    def _sleep(self, seconds: float) -> None:
        self._call._sleep(seconds)  # noqa: SLF001 - what a subclass, or a test, may replace


@dataclass(frozen=True, slots=True)
class _Idle:
    """The schedule of a looping call."""

    call: LoopingCallBase
    idle_for: IdleFor

    def next(self, progress: Progress) -> Next:
        result = 0 if progress.raised else progress.outcome
        return Next(self.idle_for(result, self.call._elapsed(progress)))  # noqa: SLF001


class Done:
    """What one waits for who has started a looping call."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def ready(self) -> bool:
        """Whether the looping call has ended."""
        return self._loop.join(0)

    def wait(self, timeout: float | None = None) -> Any:
        """Return what it was done with, or raise what ended it.

        After `timeout` seconds: None with green threads, `RuntimeError` with native ones, as there.
        """
        if self._loop.join(timeout):
            return self._loop.wait()
        if backends.has_threads():
            raise RuntimeError("Timed out waiting for event")
        return None


class FixedIntervalLoopingCall(LoopingCallBase):
    """Called every so many seconds; at once after a call that took longer."""

    _KIND = "Fixed interval looping call"

    def start(self, interval: float, initial_delay: float | None = None, stop_on_exception: bool = True) -> Done:
        """Begin, after `initial_delay` seconds."""
        return self._start(lambda _result, elapsed: _rest(self, interval, elapsed), initial_delay, stop_on_exception)


class FixedIntervalWithTimeoutLoopingCall(LoopingCallBase):
    """The same, for a limited time."""

    _KIND = "Fixed interval looping call with timeout"

    def start(
        self,
        interval: float,
        initial_delay: float | None = None,
        stop_on_exception: bool = True,
        timeout: float = 0,
    ) -> Done:
        """Begin; `timeout` seconds later it ends with `LoopingCallTimeOut`, 0 means never."""
        begun = monotonic()

        def rest(_result: object, elapsed: float) -> float:
            seconds = _rest(self, interval, elapsed)
            if 0 < timeout < monotonic() - begun:
                raise LoopingCallTimeOut(f"Looping call timed out after {monotonic() - begun:.02f} seconds")
            return seconds

        return self._start(rest, initial_delay, stop_on_exception)


def _rest(call: LoopingCallBase, interval: float, elapsed: float) -> float:
    """Return what is left of an interval, to the hundredth of a second."""
    rest = round(interval - elapsed, 2)
    if rest < 0:
        LOG.warning("%s took %.2f s longer than its interval", call.name, -rest)
    return max(0, rest)


class DynamicLoopingCall(LoopingCallBase):
    """Called again as many seconds later as the function returns."""

    _KIND = "Dynamic interval looping call"

    def start(
        self,
        initial_delay: float | None = None,
        periodic_interval_max: float | None = None,
        stop_on_exception: bool = True,
    ) -> Done:
        """Begin; it is never more than `periodic_interval_max`, which is also what None means."""
        return self._start(partial(self._suggested, periodic_interval_max), initial_delay, stop_on_exception)

    @staticmethod
    def _suggested(most: float | None, suggested: float | None, _elapsed: float) -> float:
        suggestions = [each for each in (suggested, most) if each is not None]
        if not suggestions:
            raise RuntimeError("a dynamic looping call has to return an interval, or to have periodic_interval_max")
        return min(suggestions)


class BackOffLoopingCall(LoopingCallBase):
    """Called less and less often while the function returns something false."""

    _KIND = "Back-off looping call"
    _RNG: ClassVar = SystemRandom()

    def start(
        self,
        initial_delay: float | None = None,
        starting_interval: float = 1,
        timeout: float = 300,
        max_interval: float = 300,
        jitter: float = 0.75,
        min_interval: float = 0.001,
    ) -> Done:
        """Begin; it ends with `LoopingCallTimeOut` before it has waited for more than `timeout` seconds, 0 means never.

        Those are counted since it last was successful.  Each interval is twice the one before, times a random number
        near `jitter`.
        """
        intervals = _BackOff(starting_interval, timeout, max_interval, jitter, min_interval, self._RNG)
        return self._start(intervals.after, initial_delay)


class _BackOff:
    """The intervals of a back-off."""

    def __init__(
        self, first: float, timeout: float, most: float, jitter: float, least: float, random: SystemRandom
    ) -> None:
        self._first = self._interval = first
        self._timeout = timeout
        self._most = most
        self._jitter = jitter
        self._least = least
        self._random = random
        self._idled = 0.0

    def after(self, success: object, _elapsed: float) -> float:
        spread = abs(self._random.gauss(self._jitter, 0.1))
        if success:
            self._interval, self._idled = self._first, 0.0
            return self._interval * spread
        idle = min(max(self._interval * 2 * spread, self._least), self._most)
        self._interval = max(self._interval * 2 * self._jitter, self._least)
        if 0 < self._timeout < self._idled + idle:
            raise LoopingCallTimeOut(f"Looping call timed out after {self._idled + idle:.02f} seconds")
        self._idled += idle
        return idle


class RetryDecorator:
    """Has a function called again while it raises one of `exceptions`.

    At most `max_retry_count` times more, -1 means for ever; `inc_sleep_time` seconds later, then twice as many, three
    times as many and so on, never more than `max_sleep_time`.  Here every call of the function is allowed as many.
    """

    def __init__(
        self,
        max_retry_count: int = -1,
        inc_sleep_time: float = 10,
        max_sleep_time: float = 60,
        exceptions: type[BaseException] | tuple[type[BaseException], ...] = (),
    ) -> None:
        self._max_retry_count = max_retry_count
        self._inc_sleep_time = inc_sleep_time
        self._max_sleep_time = max_sleep_time
        self._exceptions = exceptions
        self._retry_count = 0
        self._sleep_time = 0.0

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function that does so, and returns or raises what the last call does."""

        @wraps(f)
        def func(*args: Any, **kwargs: Any) -> Any:
            self._retry_count, self._sleep_time = count, pause = 0, 0.0

            @wraps(f)
            def attempt() -> float:
                nonlocal count, pause
                try:
                    result = f(*args, **kwargs)
                except self._exceptions:
                    if self._max_retry_count != -1 and count >= self._max_retry_count:
                        raise
                    self._retry_count, self._sleep_time = count, pause = count + 1, pause + self._inc_sleep_time
                    return pause
                raise LoopingCallDone(result)

            return DynamicLoopingCall(attempt).start(periodic_interval_max=self._max_sleep_time).wait()

        return func
