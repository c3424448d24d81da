"""Which slots the core has to look at, and when: a work queue of marked slots and a heap of times.

A slot stands in the queue at most once, and counts for one time in the heap, the one in `slot.wake`;
older entries are passed over when they come up, and cleared once they are the most: their times may be days away.
Both cost O(log n), on average over many.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.supervisor.state import Slot

FEW = 8  # entries that are not worth clearing


class Agenda:
    """The slots to look at now, and the next time to look at one that nothing happened to."""

    def __init__(self) -> None:
        self._marked: deque[Slot] = deque()
        self._heap: list[tuple[float, int, Slot]] = []
        self._pushes = 0  # breaks ties, slots have no order
        self._waiting = 0  # slots that have a time

    def mark(self, slot: Slot) -> None:
        """Something happened to a slot: look at it."""
        if not slot.marked:
            slot.marked = True
            self._marked.append(slot)

    def first(self, now: float) -> Slot | None:
        """Return the slot to look at now; it stays the first until it is settled."""
        while self._heap and self._heap[0][0] <= now:
            when, _, slot = heappop(self._heap)
            if slot.wake == when:
                slot.wake = inf
                self._waiting -= 1
                self.mark(slot)
        return self._marked[0] if self._marked else None

    def settle(self, wake: float) -> None:
        """Nothing is to be done about the first slot before `wake`."""
        slot = self._marked.popleft()
        slot.marked = False
        if wake == slot.wake:
            return
        self._waiting += (wake < inf) - (slot.wake < inf)
        slot.wake = wake
        if wake < inf:
            self._pushes += 1
            heappush(self._heap, (wake, self._pushes, slot))
        if len(self._heap) > 2 * self._waiting + FEW:
            self._clear()

    def _clear(self) -> None:
        """Let go of the older entries; each of a slot that says the same time is as good as another."""
        current = {slot: (when, order, slot) for when, order, slot in self._heap if slot.wake == when}
        self._heap = list(current.values())
        heapify(self._heap)

    def deadline(self) -> float:
        """When the next slot must be looked at even if nothing happens."""
        while self._heap and self._heap[0][2].wake != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf
