"""Workers that take more memory than `max_worker_memory`, and what is done about them.

`Sizes` judges and knows nothing of processes; `MemoryLimit` measures, on a timer that is only set while some
generation has the option.

Rules: one measurement decides nothing, SAMPLES in a row do, for a large request is no leak; a worker that is too large
as soon as it is ready would be replaced for ever by others like it, so the option does not hold for it; where the
container has no room for a successor beside it, that is said, and it is replaced all the same, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor.cgroup import Cgroup
from launcher.supervisor.footprint import footprint
from launcher.supervisor.pacing import lowered
from launcher.supervisor.state import Stage
from launcher.supervisor.wording import mebibytes, title

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from launcher.supervisor.core import Core
    from launcher.supervisor.generations import Generations
    from launcher.supervisor.log import Log
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.state import Child
    from launcher.supervisor.timers import Timers

PERIOD = 1.0  # seconds from one measurement to the next
SAMPLES = 3


@dataclass(slots=True)
class Size:
    """What is known of a worker's size, in bytes."""

    fresh: int
    """When it was ready."""
    limit: float
    """Its own, lower than the option by some jitter; `inf` if it has none any more."""
    above: int = 0
    """For how many measurements in a row it was above its limit."""


class Sizes:
    """The sizes of workers."""

    def __init__(self) -> None:
        self._known: dict[int, Size] = {}

    def fresh(self, pid: int, size: int, limit: float) -> bool:
        """Take the size of a worker that begins to serve, and its limit; return whether it can keep that."""
        keeps = size <= limit
        self._known[pid] = Size(size, limit if keeps else inf)
        return keeps

    def get(self, pid: int) -> Size | None:
        """Return what is known of a worker, if anything is."""
        return self._known.get(pid)

    def measured(self, pid: int, size: int) -> bool:
        """Take a measurement; return whether the worker is to be replaced, once."""
        known = self._known[pid]
        known.above = known.above + 1 if size > known.limit else 0
        if known.above == SAMPLES:
            known.limit = inf
        return known.above == SAMPLES

    def keep(self, pids: Collection[int]) -> None:
        """Forget all others."""
        self._known = {pid: size for pid, size in self._known.items() if pid in pids}


class MemoryLimit:
    """Replaces workers of an active supervisor that take too much.

    Parameters: `random`, from 0 to 1, for the jitter.
    """

    def __init__(
        self, core: Core, generations: Generations, timers: Timers, log: Log, random: Callable[[], float]
    ) -> None:
        self._core, self._generations, self._timers, self._log = core, generations, timers, log
        self._random = random
        self._sizes = Sizes()
        self._measuring = False

    def in_force(self, settings: Settings) -> None:
        """These settings hold from now on."""
        if settings.max_worker_memory and not self._measuring:
            self._measuring = True
            self._timers.after(PERIOD, self._measure)

    def ready(self, pid: int) -> None:
        """A worker is ready: the sooner it is looked at, the truer is what it takes without having served."""
        child = self._core.children.get(pid)
        if child is not None:
            self._meet(child)

    def _meet(self, child: Child) -> None:
        settings = self._generations.settings.get(child.generation)
        if settings is None or not settings.max_worker_memory:
            return
        size, limit = footprint(child.pid), settings.max_worker_memory
        if not self._sizes.fresh(child.pid, size, lowered(limit, settings.policy.limit_jitter, self._random())):
            why = f"takes {mebibytes(size)} as soon as it is ready: max_worker_memory = {mebibytes(limit)}"
            self._log.say("warning", f"{title(child)} {why} does not hold for it")

    def _measure(self) -> None:
        workers = list(self._workers())
        self._sizes.keep({child.pid for child in workers})
        for child in workers:
            self._look(child)
        self._measuring = any(settings.max_worker_memory for settings in self._generations.settings.values())
        if self._measuring:
            self._timers.after(PERIOD, self._measure)

    def _look(self, child: Child) -> None:
        known = self._sizes.get(child.pid)
        if known is None:  # it has no limit, or never said that it was ready
            self._meet(child)
            return
        own = known.limit
        size = footprint(child.pid, own)
        if self._sizes.measured(child.pid, size):
            self._replace(child, size, own, known.fresh)

    def _workers(self) -> Iterator[Child]:
        for child in self._core.children.values():
            if child.stage is Stage.READY and child.slot.service is not None:
                yield child

    def _replace(self, child: Child, size: int, limit: float, fresh: int) -> None:
        room = Cgroup().memory_room()
        if room < fresh:
            left = f"{mebibytes(room)} are left of the container's memory, and a fresh worker took {mebibytes(fresh)}"
            self._log.say("warning", f"{title(child)} is replaced though there may be no room beside it: {left}")
        why = f"takes {mebibytes(size)}, more than its limit of {mebibytes(limit)}"
        self._core.retire(child.pid, why, monotonic())
