"""How many workers an elastic service needs, by how much of the time they are at work.

Nothing here reads a clock or knows of processes: it is told what was measured.

Rules, each held by tests/property/: never fewer nor more than the bounds; one at a time, and the next only once
the last has shown its effect; up as soon as the workers are busier than HIGH, for a request waits; down only when
one fewer would be less busy than LOW for all of CALM, for a worker too many costs little.  Since LOW is well below
HIGH, a steady load moves the number in one direction only, and then no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIOD = 1.0  # seconds from one measurement to the next
HIGH, LOW = 0.7, 0.5  # share of the time at work
CALM = 5.0  # seconds


class Demand:
    """What the workers of one service have to do."""

    def __init__(self) -> None:
        self._measured = 0.0
        self._busy: Mapping[int, float] = {}
        self._calm_since: float | None = None

    def measured(self, busy: Mapping[int, float], now: float) -> list[float]:
        """Take the seconds that each worker, by PID, was ever at work.

        Return the share of the time since the last measurement for each that was there then already.
        """
        elapsed, before = now - self._measured, self._busy
        self._measured, self._busy = now, busy
        if elapsed <= 0:
            return []
        return [min(max((busy[pid] - before[pid]) / elapsed, 0.0), 1.0) for pid in busy.keys() & before.keys()]

    def decide(self, target: int, least: int, most: int, shares: list[float], now: float) -> int:
        """Return how many workers there shall be, given how many there are asked for and their shares."""
        if not least <= target <= most:
            self._calm_since = None
            return min(max(target, least), most)
        load = sum(shares) / len(shares) * target if shares else target
        if load > LOW * (target - 1):
            self._calm_since = None
            settled = len(shares) >= target
            return target + 1 if settled and load > HIGH * target and target < most else target
        if self._calm_since is None:
            self._calm_since = now
        if target == least or now - self._calm_since < CALM:
            return target
        self._calm_since = None
        return target - 1
