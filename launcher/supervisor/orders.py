"""What signals ask the supervisor for (design.md, Signals)."""

from __future__ import annotations

import os
from signal import Signals
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor import status

if TYPE_CHECKING:
    from launcher.supervisor.core import Core
    from launcher.supervisor.generations import Generations
    from launcher.supervisor.log import Log


class Orders:
    """Obeys signals."""

    def __init__(self, core: Core, log: Log, generations: Generations) -> None:
        self._core, self._log, self._generations = core, log, generations

    def obey(self, signum: int) -> None:
        """Do what a signal asks for."""
        now = monotonic()
        match signum:
            case Signals.SIGCHLD:
                pass
            case Signals.SIGTERM:
                self._core.stop(now)
            case Signals.SIGINT if not self._core.stopping:
                self._core.stop(now)
            case Signals.SIGINT | Signals.SIGQUIT:
                self._core.stop_at_once(now)
            case Signals.SIGHUP if not self._generations.current.reset_on_hup:
                self._log.say("info", "reload asked for")
                self._core.reload()
            case Signals.SIGTTIN:
                self._scale(+1)
            case Signals.SIGTTOU:
                self._scale(-1)
            case Signals.SIGUSR2:
                self._log.lines("info", status.report(self._core, now))
                self._forward(signum)
            case _:
                self._forward(signum)

    def _scale(self, by: int) -> None:
        for service in self._core.services.values():
            if not service.version.workers:  # dropped by a reload
                continue
            target = max(service.target + by, 1)
            self._core.scale(service.name, target)
            self._log.say("info", f"{service.name}: {target} workers asked for")
            return

    def _forward(self, signum: int) -> None:
        for child in self._core.children.values():
            if child.slot.service is not None:
                os.kill(child.pid, signum)
