"""Calls that are due at a time: for whatever in the supervisor waits for something that may never come.

Guarantees: it never wakes anybody by itself; with no timer set there is no deadline, so PID 1 sleeps on.
A timer that was cancelled is neither called nor waited for.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """A call that is due at a time."""

    __slots__ = ("_call", "_timers", "order", "when")

    def __init__(self, timers: Timers, when: float, order: int, call: Callable[[], object]) -> None:
        self.when, self.order = when, order
        self._timers = timers
        self._call: Callable[[], object] | None = call

    def __lt__(self, other: Timer) -> bool:
        """Earlier first, and of the same time the one that was set first."""
        return (self.when, self.order) < (other.when, other.order)

    @property
    def is_set(self) -> bool:
        """Whether it is still to be called."""
        return self._call is not None

    def cancel(self) -> None:
        """Do not call, if it was not called yet."""
        if self._call is not None:
            self._call = None
            self._timers.cancelled()

    def expire(self) -> None:
        """Call, once."""
        call, self._call = self._call, None
        if call is not None:
            call()


class Timers:
    """The timers of one loop.

    Parameters: `clock`, which tells the time in seconds and only ever goes forward.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._heap: list[Timer] = []
        self._order = 0
        self._dead = 0  # of those in the heap

    def after(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once, so many seconds from now; what is returned can be cancelled."""
        self._order += 1
        timer = Timer(self, self._clock() + seconds, self._order, call)
        heappush(self._heap, timer)
        return timer

    def deadline(self) -> float:
        """When to call `expire`; `inf` if no timer is set."""
        while self._heap and not self._heap[0].is_set:
            heappop(self._heap)
            self._dead -= 1
        return self._heap[0].when if self._heap else inf

    def expire(self, now: float) -> None:
        """Call what is due, in order; what these calls set is for the next time."""
        newest = self._order
        while self.deadline() <= now and self._heap[0].order <= newest:
            heappop(self._heap).expire()

    def cancelled(self) -> None:
        """Forget the cancelled once they are the most: their times may be far away."""
        self._dead += 1
        if self._dead > len(self._heap) // 2:
            self._heap = [timer for timer in self._heap if timer.is_set]
            heapify(self._heap)
            self._dead = 0
