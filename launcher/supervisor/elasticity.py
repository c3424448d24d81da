"""Measures elastic services and scales them to what they need.

A timer is only set while some generation that may be spawned from has such a service.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor.elastic import PERIOD, Demand
from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.supervisor.core import Core
    from launcher.supervisor.generations import Generations
    from launcher.supervisor.log import Log
    from launcher.supervisor.scoreboard import Scoreboard
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.state import Service
    from launcher.supervisor.timers import Timers


class Elasticity:
    """Scales the elastic services of an active supervisor."""

    def __init__(self, core: Core, generations: Generations, timers: Timers, log: Log, scoreboard: Scoreboard) -> None:
        self._core, self._generations, self._timers, self._log = core, generations, timers, log
        self._scoreboard = scoreboard
        self._demands: dict[str, Demand] = {}
        self._measuring = False

    def in_force(self, settings: Settings) -> None:
        """These settings hold from now on."""
        if not self._measuring and _is_elastic(settings):
            self._measure_later()

    def _measure_later(self) -> None:
        self._measuring = True
        self._timers.after(PERIOD, self._measure)

    def _measure(self) -> None:
        now = monotonic()
        elastic = dict(self._elastic()) if not self._core.stopping else {}
        self._demands = {name: self._demands.get(name) or Demand() for name in elastic}
        for name, (service, least, most) in elastic.items():
            shares = self._demands[name].measured(self._busy(service, now), now)
            target = self._demands[name].decide(service.target, least, most, shares, now)
            if target != service.target:
                self._scale(service, target, shares)
        self._measuring = False
        if any(map(_is_elastic, self._generations.settings.values())):  # also one that a failed reload falls back to
            self._measure_later()

    def _elastic(self) -> Iterator[tuple[str, tuple[Service, int, int]]]:
        for service in self._core.services.values():
            spec = service.version.spec
            if spec.most is not None and spec.workers:  # else it was dropped
                yield service.name, (service, spec.workers, spec.most)

    def _busy(self, service: Service, now: float) -> dict[int, float]:
        """Seconds at work, by PID, of the workers that are ready."""
        ready = [child for slot in service.slots for child in slot.children if child.stage is Stage.READY]
        beats = {child.pid: self._scoreboard.read(child.seat, child.pid) for child in ready}
        return {pid: beat.busy_until(now) for pid, beat in beats.items() if beat is not None}

    def _scale(self, service: Service, target: int, shares: list[float]) -> None:
        busy = f"at work for {sum(shares) / len(shares):.0%} of the time" if shares else "not measured yet"
        self._log.say("info", f"{service.name}: {target} workers asked for, {service.target} were {busy}")
        self._core.scale(service.name, target)


def _is_elastic(settings: Settings) -> bool:
    return any(spec.most for spec in settings.services)
