"""Liveness: which workers hang, told from those that the kernel lets wait.

A worker hangs when one turn of its takes longer than `liveness_timeout`, or when it is stopped for so
long.  Seconds in which it could run and got no CPU do not count: a worker of a container that has
used up its quota is slow, and shooting it makes everything slower.

Guarantees: the judgement is pure, everything is handed in; whoever waits for work never hangs; a worker
is given the benefit of what cannot be known, for its own waits are read at a look only, so those since
the last one all count for the present turn; looks come when somebody may be due, and no more often than
a worker may need.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.scoreboard import Beat

# Shares of the timeout
TOO_LATE = 0.25  # after a look that comes so late we cannot have run, and perhaps nobody could
GRAIN = 0.05  # between two looks at least, however many workers are due one after the other


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look has found about a worker that is ready.  Times are seconds on the monotonic clock."""

    pid: int
    ready_since: float
    beat: Beat | None
    """None where it says nothing."""
    stopped_since: float | None
    starved: float
    """Seconds of its life in which it could run and another did; they only grow."""


@dataclass(frozen=True, slots=True)
class Hung:
    """A worker that serves nobody, and why, for people."""

    pid: int
    why: str


@dataclass(slots=True)
class _Watch:
    """What is remembered of a worker from one look to the next."""

    since: float  # when what it is at began
    looked: float
    starved: float
    throttled: float
    credit: float = 0.0  # seconds of it that do not count
    excused: bool = False  # for our being late: once


class Judge:
    """Decides who hangs.  `due` is when to look again; `inf` while there is nobody to look at."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.due = inf
        self._watches: dict[int, _Watch] = {}

    def meet(self, sight: Sight, throttled: float, now: float) -> None:
        """Begin to watch a worker, if it is new: what it has waited for before does not count."""
        if sight.pid not in self._watches:
            self._watches[sight.pid] = _Watch(now, now, sight.starved, throttled)
            self.due = min(self.due, now + self.timeout)

    def look(self, sights: Iterable[Sight], throttled: float, now: float) -> list[Hung]:
        """Return who hangs.

        `throttled` is for how many seconds our cgroup was throttled so far; what a worker waits for may be
        in there too, so that share of the time does not count either.
        """
        late = now - self.due > TOO_LATE * self.timeout
        watches, hung, due = {}, [], inf
        for sight in sights:
            since, what = _at(sight, now)
            watch = watches[sight.pid] = self._follow(sight, since, throttled, now)
            if late and not watch.excused:
                watch.credit, watch.excused = now - since, True
            expiry = since + self.timeout + watch.credit
            if expiry <= now:
                hung.append(Hung(sight.pid, _why(what, now - since, watch.credit, self.timeout)))
            else:
                due = min(due, expiry)
        self._watches = watches
        self.due = max(due, now + GRAIN * self.timeout)
        return hung

    def _follow(self, sight: Sight, since: float, throttled: float, now: float) -> _Watch:
        """Bring what is remembered of a worker up to date."""
        watch = _Watch(since, now, sight.starved, throttled)
        last = self._watches.get(sight.pid, watch)
        if since == last.since:
            watch.credit, watch.excused = last.credit, last.excused
        if sight.stopped_since is None:  # else it waits for nothing
            waited = max(sight.starved - last.starved, throttled - last.throttled)
            watch.credit += max(min(waited, now - max(last.looked, since)), 0.0)
        return watch


def _at(sight: Sight, now: float) -> tuple[float, str]:
    """Since when a worker is at what it is at, as far as that can become too long, and what."""
    if sight.stopped_since is not None:
        return sight.stopped_since, "stopped"
    if sight.beat is not None and sight.beat.at_work and not sight.beat.shares:
        return max(sight.beat.since, sight.ready_since), "busy"
    return now, "idle"


def _why(what: str, seconds: float, credit: float, timeout: float) -> str:
    starved = f", {credit:.1f} s of them without CPU" if what == "busy" and credit > GRAIN * timeout else ""
    return f"{what} for {seconds:.1f} s{starved}; liveness_timeout is {timeout:g} s"
