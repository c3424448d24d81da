"""How many workers a service shall have, as the user says it: a number, `MIN..MAX`, or `auto`.

`auto` is what the container may use: no more workers than CPUs it may run on, than its CPU quota is worth (rounded
up), and than its memory limit holds.  It is worked out where a configuration is read, so anew with every reload.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from math import ceil, inf

from launcher.supervisor.cgroup import Cgroup

MOST_WORKERS = 10_000
LEAST_MEMORY = 64 * 2**20  # bytes that a worker is reckoned with at least
ALLOWED = f"a whole number from 1 to {MOST_WORKERS}, MIN..MAX as in 2..8, or auto"
_COUNT = re.compile(r"(?P<least>[0-9]{1,9})(?:\.\.(?P<most>[0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class Between:
    """As many as the load needs."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}..{self.most}"


@dataclass(frozen=True, slots=True)
class Auto:
    """As many as the container may use."""

    def __str__(self) -> str:
        return "auto"


Count = int | Between | Auto


def parse(text: str) -> Count:
    """Read a number, `MIN..MAX` or `auto`.  Raises `ValueError` with what is allowed."""
    if text == "auto":
        return Auto()
    if match := _COUNT.fullmatch(text):
        least = int(match["least"])
        most = int(match["most"] or least)
        if 1 <= least <= most <= MOST_WORKERS:
            return least if least == most else Between(least, most)
    raise ValueError(ALLOWED)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the container may use; `inf` where there is no limit."""

    affinity: int
    """CPUs that we may run on (cpuset, taskset)."""
    quota: float = inf
    """CPUs' worth of time."""
    memory: float = inf
    """Bytes."""

    @classmethod
    def here(cls) -> Machine:
        """Ask the kernel."""
        cgroup = Cgroup()
        return cls(len(os.sched_getaffinity(0)), cgroup.cpu_quota(), cgroup.memory_limit())


def auto(machine: Machine, each: int) -> tuple[int, str]:
    """Return the number of workers that take `each` bytes (0: not known) or more, and how it came about."""
    each = max(each, LEAST_MEMORY)
    bounds, reasons = [machine.affinity], [f"affinity to {machine.affinity} CPUs"]
    if machine.quota < inf:
        bounds.append(ceil(machine.quota))
        reasons.append(f"a CPU quota of {machine.quota:g}")
    if machine.memory < inf:
        bounds.append(int(machine.memory // each))
        reasons.append(f"a memory limit of {machine.memory / 2**20:.0f} MiB, at least {each / 2**20:.0f} MiB for each")
    count = min(max(min(bounds), 1), MOST_WORKERS)
    return count, f"{count} by {', '.join(reasons)}"
