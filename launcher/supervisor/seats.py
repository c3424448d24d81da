"""Small numbers for workers, lowest free first: each is a place in the scoreboard, which is as long as the highest."""

from __future__ import annotations

from heapq import heappop, heappush


class Seats:
    """Numbers that are taken and given back, O(log n) each."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._made = 0

    def take(self) -> int:
        """Return the lowest number that nobody has."""
        if self._free:
            return heappop(self._free)
        self._made += 1
        return self._made - 1

    def give_back(self, seat: int) -> None:
        """Nobody has this number any more."""
        heappush(self._free, seat)
