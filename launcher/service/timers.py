"""Calls that are repeated, each in a task of its own, the same on every backend.

When, a `Schedule` decides; here it is done.  Between two ticks a timer sleeps once, in pieces of eleven days where that
is longer, and `stop()` ends that sleep.

Guarantees: ticks of a timer never overlap.  An exception does not end it unless that is asked for; it is logged with
its traceback each time.  All of it may be called from any thread.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher.service.schedules import Progress, TimedOutError
from launcher.service.threads import Outcome, Thread
from launcher.worker import backends
from launcher.worker.naming import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.service.schedules import Schedule

LONGEST_SLEEP = 1_000_000.0  # seconds in one piece; epoll counts milliseconds in a C int and ends at 24 days
logger = logging.getLogger("launcher.service")


class TimerDone(Exception):  # noqa: N818 - no error, as StopIteration is none
    """Raised by a tick: it was the last, and `wait()` returns `result` (oslo.service: `LoopingCallDone`)."""

    def __init__(self, result: Any = None) -> None:
        super().__init__(result)
        self.result = result


def forget(_timer: Timer) -> None:
    """Do nothing with a timer that has ended."""


class Timer:
    """A call that is repeated as a schedule says, until it is stopped or raises `TimerDone`.

    With `stop_on_exception`, any other exception ends it too.  `done` is called with the timer when it has ended.
    """

    def __init__(
        self,
        schedule: Schedule,
        callback: Callable[[], object],
        *,
        stop_on_exception: bool = False,
        done: Callable[[Timer], None] = forget,
    ) -> None:
        self.schedule = schedule
        self.name = name_of(callback)
        self.progress = Progress()
        """What it has done so far: ticks, those missed, failures in a row."""
        self._callback = callback
        self._stop_on_exception = stop_on_exception
        self._stopped = backends.current().event()
        self._initial_delay = 0.0
        self._outcome = Outcome()
        self._thread = Thread(lambda _thread: done(self), self._run, (), {})

    @property
    def stopped(self) -> bool:
        """Whether no further tick begins because of `stop()`."""
        return self._stopped.is_set()

    def start(self, initial_delay: float | None = None) -> None:
        """Begin, once; the first tick comes after `initial_delay` seconds, or at once."""
        self._initial_delay = initial_delay or 0.0
        self._thread.start()

    def stop(self) -> None:
        """Let no further tick begin; one under way goes on."""
        self._stopped.set()

    def kill(self) -> None:
        """Stop, and end a tick under way where the backend can."""
        self.stop()
        self._thread.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Return when the timer has ended, however it ended, or after `timeout` seconds, which is False.

        From inside a tick, return at once.
        """
        return self._thread.join(timeout)

    def wait(self) -> Any:
        """Return the result of `TimerDone` when the timer has ended, None if it was stopped.

        Raises `TimedOutError` if its schedule gave up, and what ended it else.
        """
        self.join()
        return self._outcome.get()

    def _run(self) -> None:
        try:
            self._repeat()
        except TimerDone as done:
            self._outcome.result = done.result
        except TimedOutError as given_up:
            self._outcome.error = given_up
            logger.warning("timer %s has ended: %s", self.name, given_up)
        except backends.current().kills:
            raise
        except BaseException as error:  # a border, as for every thread
            self._outcome.error = error
            logger.exception("timer %s has failed and ended", self.name)

    def _repeat(self) -> None:
        if self._initial_delay:
            self._sleep(self._initial_delay)
        while not self.stopped:
            self._tick()
            if not self.stopped:
                self._sleep(self._pause())

    def _sleep(self, seconds: float) -> None:
        while not self._stopped.wait(min(seconds, LONGEST_SLEEP)) and seconds > LONGEST_SLEEP:
            seconds -= LONGEST_SLEEP

    def _tick(self) -> None:
        began, outcome, raised = monotonic(), None, False
        try:
            outcome = self._callback()
        except TimerDone:
            raise
        except backends.current().kills:
            raise
        except BaseException:  # a border: eventlet.Timeout and SystemExit are no Exception
            if self._stop_on_exception:
                raise
            raised = True
            logger.exception("timer %s: a tick failed; the timer goes on", self.name)
        self.progress = self.progress.after(began, monotonic(), outcome, raised=raised)

    def _pause(self) -> float:
        coming = self.schedule.next(self.progress)
        if coming.missed:
            self.progress = replace(self.progress, missed=self.progress.missed + coming.missed)
            logger.warning("timer %s: a tick came late or took too long and cost %d more", self.name, coming.missed)
        return coming.pause
