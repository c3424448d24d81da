"""The scoreboard: shared memory in which every worker says what it is at, so that PID 1 need not ask.

It is made before the first fork and inherited by everybody; nobody else can see it.  A worker writes only
its own seat, without a lock and without a system call.

Guarantees: each field is eight aligned bytes and written in one go, so none is ever seen half-written;
fields are not consistent with each other, and nothing here depends on it; a seat that another process
has left is not read as this one's, for the PID is written last and compared before and after.
Pages that nobody has touched cost nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from mmap import mmap
from time import monotonic

SEATS = 65_536  # whoever gets a higher number is not seen; pid_max is about half of that by default
SEAT_SIZE = 64  # bytes; a cache line, so that no two workers write the same
_FIELDS = SEAT_SIZE // 8
_PID, _STAMP, _BUSY, _REQUESTS, _IN_FLIGHT, _SHARES = range(6)


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker has last said.  Times are seconds on the monotonic clock."""

    at_work: bool
    """Whether it runs, or should; else it waits for work."""
    since: float
    """When that began: its last heartbeat.  0 if it has never waited, and on a backend that does not say."""
    busy: float
    """Seconds that it was at work in its life, without the present turn."""
    requests: int
    """HTTP requests that it has answered."""
    in_flight: int
    """HTTP requests that it is answering."""
    shares: bool = False
    """Whether it goes on with other work meanwhile, so that being at work for long is no sign of anything."""

    def busy_until(self, now: float) -> float:
        """Seconds that it was at work in its life."""
        return self.busy + (now - self.since if self.at_work else 0.0)


class Seat:
    """A worker's place, for it to write."""

    def __init__(self, memory: memoryview) -> None:
        self._numbers, self._seconds = memory.cast("q"), memory.cast("d")
        self._since = 0.0  # when the present turn began; 0 while there is none
        self._busy = 0.0
        self._requests = self._in_flight = 0

    def take(self) -> None:
        """Begin to write: whatever is there is somebody else's."""
        for field in range(_FIELDS):
            self._numbers[field] = 0
        self._numbers[_PID] = os.getpid()

    def leave(self) -> None:
        """Write elsewhere from now on: this process is only a copy of the one whose place it is."""
        memory = memoryview(bytearray(SEAT_SIZE))
        self._numbers, self._seconds = memory.cast("q"), memory.cast("d")

    def shares(self) -> None:
        """The worker works at several things at a time."""
        self._numbers[_SHARES] = 1

    def sleeps(self) -> None:
        """The worker is about to wait for work."""
        now = monotonic()
        self._count(now)
        self._since = 0.0
        self._seconds[_STAMP] = -now

    def works(self) -> None:
        """The worker has got some work, or has looked whether there is any."""
        now = monotonic()
        self._count(now)
        self._since = self._seconds[_STAMP] = now

    def _count(self, now: float) -> None:
        if self._since:
            self._busy += now - self._since
            self._seconds[_BUSY] = self._busy

    @property
    def in_flight(self) -> int:
        """HTTP requests that are being answered."""
        return self._in_flight

    def request_begins(self) -> None:
        """A request was read."""
        self._in_flight += 1
        self._numbers[_IN_FLIGHT] = self._in_flight

    def request_ends(self) -> None:
        """A request was answered, or its client is gone."""
        self._in_flight -= 1
        self._requests += 1
        self._numbers[_IN_FLIGHT], self._numbers[_REQUESTS] = self._in_flight, self._requests


def private_seat() -> Seat:
    """Make a seat that nobody looks at, for a process that has no supervisor."""
    return Seat(memoryview(bytearray(SEAT_SIZE)))


class Scoreboard:
    """All seats."""

    def __init__(self) -> None:
        self._memory = memoryview(mmap(-1, SEATS * SEAT_SIZE))

    def seat(self, number: int) -> Seat:
        """Return a place to write; one that nobody looks at where there are no more."""
        memory = self._of(number)
        return private_seat() if memory is None else Seat(memory)

    def read(self, number: int, pid: int) -> Beat | None:
        """Return what the process of this PID says, None if it has said nothing yet."""
        memory = self._of(number)
        if memory is None:
            return None
        numbers, seconds = memory.cast("q"), memory.cast("d")
        before = numbers[_PID]
        stamp = seconds[_STAMP]
        beat = Beat(
            stamp > 0, abs(stamp), seconds[_BUSY], numbers[_REQUESTS], numbers[_IN_FLIGHT], bool(numbers[_SHARES])
        )
        return beat if before == pid == numbers[_PID] else None

    def _of(self, number: int) -> memoryview | None:
        if not 0 <= number < SEATS:
            return None
        return self._memory[number * SEAT_SIZE : (number + 1) * SEAT_SIZE]
