"""Looks at the workers when one of them may hang (liveness.py), and tells the core who does.

Guarantees: without a `liveness_timeout` nothing is read and no timer set; nothing is read of a /proc that is
not that of our PID namespace.
"""

from __future__ import annotations

import os
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor.cgroup import Cgroup
from launcher.supervisor.liveness import Judge, Sight
from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.supervisor.core import Core
    from launcher.supervisor.scoreboard import Scoreboard
    from launcher.supervisor.state import Child
    from launcher.supervisor.timers import Timer, Timers


class Watchdog:
    """Watches the workers that are ready.

    Parameters: `stopped`, by PID since when a child is stopped (reaper.py).
    """

    _waits: CpuWaits

    def __init__(self, core: Core, timers: Timers, scoreboard: Scoreboard, stopped: Mapping[int, float]) -> None:
        self._core, self._timers = core, timers
        self._scoreboard, self._stopped = scoreboard, stopped
        self._judge = Judge(inf)
        self._timer: Timer | None = None

    def configure(self, timeout: float) -> None:
        """Take up a `liveness_timeout` in seconds, `inf` for none."""
        if timeout == self._judge.timeout:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._judge, self._timer = Judge(timeout), None
        if timeout < inf:
            self._waits = CpuWaits()
            self.meet(list(self._core.children), monotonic())

    def meet(self, pids: Iterable[int], now: float) -> None:
        """Watch these children from now on, those that are ready workers."""
        if self._judge.timeout == inf:
            return
        for pid in pids:
            child = self._core.children.get(pid)
            if child is not None and _is_watched(child):
                self._judge.meet(self._sight(child), self._waits.throttled(), now)
        self._arm(now)

    def _look(self) -> None:
        now = monotonic()
        sights = [self._sight(child) for child in self._core.children.values() if _is_watched(child)]
        for hung in self._judge.look(sights, self._waits.throttled(), now):
            self._core.hung(hung.pid, hung.why, now)
        self._arm(now)

    def _arm(self, now: float) -> None:
        """Have a timer for the judge's next look, if there is to be one."""
        due = self._judge.due
        if self._timer is not None:
            if self._timer.is_set and self._timer.when <= due:
                return
            self._timer.cancel()
        if due < inf:
            self._timer = self._timers.after(due - now, self._look)

    def _sight(self, child: Child) -> Sight:
        beat = self._scoreboard.read(child.seat, child.pid)
        return Sight(child.pid, child.since, beat, self._stopped.get(child.pid), self._waits.starved(child.pid))


class CpuWaits:
    """What the kernel tells of those that could run and did not; what it does not tell is 0."""

    def __init__(self) -> None:
        self._cgroup = Cgroup()
        self._cpus = len(os.sched_getaffinity(0))
        self._proc_is_ours = _self_in_proc() == str(os.getpid())

    def starved(self, pid: int) -> float:
        """Seconds for which a process's main thread could have run and had no CPU, throttled or not."""
        try:
            if self._proc_is_ours:
                with open(f"/proc/{pid}/schedstat", "rb", buffering=0) as file:
                    return int(file.read().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # a kernel that does not count it
            pass
        return 0.0

    def throttled(self) -> float:
        """Seconds for which our cgroup was throttled, on the average CPU: it is throttled on each by itself."""
        return self._cgroup.throttled() / self._cpus


def _is_watched(child: Child) -> bool:
    return child.slot.service is not None and child.stage is Stage.READY


def _self_in_proc() -> str:
    try:
        return os.readlink("/proc/self")
    except OSError:
        return ""
