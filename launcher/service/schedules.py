"""When the next tick of a timer is due: decided from what has happened so far, and from nothing else.

Pure: no clock, no sleep, no logging; times are handed in, in seconds of any clock that never goes back.  A schedule has
no state, so one object may serve many timers.

Guarantees: a next tick is never due before the last one has ended.  `Every` keeps its beat however long ticks take and
however late they begin, and counts those that it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import SystemRandom
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY = 1.0  # seconds from a failed tick to the next where nobody says
MOST_DOUBLINGS = 60  # beyond it a float gains nothing, and in the end overflows


class TimedOutError(Exception):
    """A schedule has given up, as its `timeout` says."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a timer has done so far."""

    ticks: int = 0
    """Ticks that have ended."""
    missed: int = 0
    """Ticks that were left out because an earlier one came late or took too long."""
    failures: int = 0
    """How many of the latest in a row have raised or returned False."""
    outcome: object = None
    """What the latest returned; None if it raised."""
    raised: bool = False
    """Whether the latest raised."""
    first: float = 0.0
    """When the first began."""
    began: float = 0.0
    """When the latest began."""
    ended: float = 0.0
    """When the latest ended."""
    failing: float = 0.0
    """When the first of those failures began."""

    def after(self, began: float, ended: float, outcome: object = None, *, raised: bool = False) -> Progress:
        """Return what is so with one more tick."""
        failed = raised or outcome is False
        return replace(
            self,
            ticks=self.ticks + 1,
            failures=self.failures + 1 if failed else 0,
            outcome=outcome,
            raised=raised,
            first=self.first if self.ticks else began,
            began=began,
            ended=ended,
            failing=self.failing if self.failures else began,
        )


@dataclass(frozen=True, slots=True)
class Next:
    """The next tick."""

    pause: float
    """Seconds from the end of the latest tick."""
    missed: int = 0
    """Ticks left out between the two."""


class Schedule(Protocol):
    """Says when the next tick is due."""

    def next(self, progress: Progress) -> Next:
        """Decide, at the end of a tick.

        Raises `TimedOutError` if there is to be none.  Whatever else it raises ends the timer as well.
        """


@dataclass(frozen=True, slots=True)
class Every:
    """A tick every `interval` seconds, counted from the beginning of the first; drift-free.

    What comes late makes it skip ticks, never bunch them.  With `timeout`, the last tick is the last that is due within
    so many seconds of the first.  Raises `ValueError` if the interval is not positive.
    """

    interval: float
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check_positive("interval", self.interval)

    def next(self, progress: Progress) -> Next:
        """Take the next beat that is still to come."""
        beat = progress.ticks + progress.missed
        elapsed = progress.ended - progress.first
        missed = max(0, int(elapsed / self.interval) - beat + 1)
        due = (beat + missed) * self.interval
        if self.timeout is not None and due > self.timeout:
            raise TimedOutError(f"not done within {self.timeout:g} s")
        return Next(max(0.0, due - elapsed), missed)


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Each tick returns the seconds until the next, at most `maximum`; None means `maximum`.

    After one that raised it is `maximum`, or 1 s where there is none.
    """

    maximum: float | None = None

    def next(self, progress: Progress) -> Next:
        """Do as the latest tick says.

        Raises `TypeError` for what is no number, and for None where there is no maximum.
        """
        told = progress.outcome
        if progress.raised:
            told = RETRY if self.maximum is None else self.maximum
        elif told is None:
            told = self.maximum
        if not isinstance(told, int | float):
            raise TypeError(f"a tick returned {told!r}: it has to return seconds, or have a maximum")
        return Next(max(0.0, told if self.maximum is None else min(told, self.maximum)))


@dataclass(frozen=True, slots=True)
class BackOff:
    """`first` seconds from the end of a tick to the next, doubled with each in a row that raises or returns False.

    Never more than `maximum` seconds.  Each pause is longer or shorter by a random share, up to `jitter` of it, so that
    those who failed together do not come back together.  With `timeout`, it gives up when that would be exceeded by
    waiting once more, in seconds since the first of the failures in a row began.  Raises `ValueError` if `first` is not
    positive.
    """

    first: float = 1.0
    maximum: float = 300.0
    jitter: float = 0.25
    timeout: float | None = None
    spread: Callable[[float, float], float] = SystemRandom().uniform

    def __post_init__(self) -> None:
        _check_positive("first", self.first)

    def next(self, progress: Progress) -> Next:
        """Wait longer, the longer it has failed."""
        pause = self.first * 2.0 ** min(progress.failures, MOST_DOUBLINGS)
        pause = min(min(pause, self.maximum) * (1 + self.spread(-self.jitter, self.jitter)), self.maximum)
        if progress.failures and self.timeout is not None and progress.ended - progress.failing + pause > self.timeout:
            raise TimedOutError(
                f"failed {progress.failures} times in a row; gives up before {self.timeout:g} s are over"
            )
        return Next(max(0.0, pause))


def _check_positive(name: str, value: float) -> None:
    if not value > 0:  # NaN neither
        raise ValueError(f"{name} = {value}: must be positive")
