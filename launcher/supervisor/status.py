"""The state of the supervisor: as plain values for machines, as lines for people."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher import __version__
from launcher.supervisor.rollout import FIRST
from launcher.supervisor.wording import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.supervisor.core import Core
    from launcher.supervisor.reloads import Reloads
    from launcher.supervisor.scoreboard import Beat, Scoreboard
    from launcher.supervisor.state import Child, Service


class Status:
    """What there is to say of the supervisor at any time.  All durations are seconds."""

    def __init__(self, core: Core, reloads: Reloads, scoreboard: Scoreboard) -> None:
        self._core, self._reloads, self._scoreboard = core, reloads, scoreboard
        self._started = monotonic()

    def is_ready(self) -> bool:
        """Whether every service that is to has a worker that serves, and nobody has asked for the end."""
        services = self._core.services.values()
        return not self._core.stopping and bool(services) and all(each.ready or each.idle for each in services)

    def is_complete(self) -> bool:
        """Whether every service has all the workers that it shall have, ready."""
        services = self._core.services.values()
        return bool(services) and all(each.ready >= each.target - each.over for each in services)

    def reloading(self) -> int | None:
        """Return the generation that a reload is on the way to."""
        state = self._core.state
        coming = state.requested or (state.rollout.generation if state.rollout else FIRST)
        return coming if coming != FIRST and not state.stopping else None

    def values(self) -> dict[str, Any]:
        """Return everything, in values that JSON has (README, Status)."""
        now = monotonic()
        services, children = self._core.services.values(), self._core.children.values()
        last = self._reloads.last
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime": round(now - self._started, 3),
            "state": self.state(),
            "stopping": self._core.stopping,
            "generation": max((each.version.generation for each in services), default=0),
            "reloading": self.reloading(),
            "last_reload": last and {"generation": last.generation, "error": last.error},
            "services": {service.name: _of_service(service) for service in services},
            "workers": [self._of_worker(child, child.slot.service, now) for child in children if child.slot.service],
            "molds": [child.pid for child in children if child.slot.service is None],
        }

    def _of_worker(self, child: Child, service: Service, now: float) -> dict[str, Any]:
        beat = self._scoreboard.read(child.seat, child.pid)
        return {
            "pid": child.pid,
            "service": service.name,
            "slot": child.slot.index,
            "generation": child.generation,
            "stage": child.stage.name.lower(),
            "since": round(now - child.since, 3),
            "age": round(now - child.born, 3),
            "says": child.says,
            "beat": _of_beat(beat, now) if beat and beat.since else None,
        }

    def report(self) -> Iterator[str]:
        """Yield a line a service and a child."""
        for service in self._core.services.values():
            counts = f"{service.ready} ready of {service.target}, generation {service.version.generation}"
            yield f"state: {service.name}: {counts}, {service.failures} failures in a row"
        for child in self._core.children.values():
            yield f"state: {title(child)}: {child.stage.name.lower()} for {monotonic() - child.since:.1f} s"

    def counts(self) -> str:
        """Return for people how many workers of each service are ready."""
        services = self._core.services.values()
        return ", ".join(f"{each.name} {each.ready}/{each.target}" for each in services) or "nothing loaded yet"

    def state(self) -> str:
        """Return `starting`, `ready`, `not ready` or `stopping`."""
        if self._core.stopping:
            return "stopping"
        if self.is_ready():
            return "ready"
        started = [each.proven is not None for each in self._core.services.values()]
        return "not ready" if started and all(started) else "starting"


def _of_service(service: Service) -> dict[str, Any]:
    return {
        "target": service.target,
        "ready": service.ready,
        "generation": service.version.generation,
        "failures": service.failures,
        "last_end": service.last_end,
        "dropped": not service.version.workers,
    }


def _of_beat(beat: Beat, now: float) -> dict[str, Any]:
    return {
        "at_work": beat.at_work,
        "last": round(max(now - beat.since, 0.0), 3),  # it may have written while we read the clock
        "busy": round(beat.busy_until(now), 3),
        "requests": beat.requests,
        "in_flight": beat.in_flight,
    }
