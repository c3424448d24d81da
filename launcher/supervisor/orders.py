"""What the supervisor is told to do: by signals (design.md, Signals), and by requests that mean the same."""

from __future__ import annotations

from signal import Signals
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor.sending import send

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.supervisor.commands import Commands
    from launcher.supervisor.core import Core
    from launcher.supervisor.generations import Generations
    from launcher.supervisor.log import Log
    from launcher.supervisor.status import Status


class Orders:
    """Obeys.

    Parameters: whom to tell, and whom to ask; `reload_begins`, to be told that one was asked for.
    """

    def __init__(
        self,
        core: Core,
        log: Log,
        generations: Generations,
        status: Status,
        reload_begins: Callable[[], object],
    ) -> None:
        self._core, self._log, self._generations, self._status = core, log, generations, status
        self._reload_begins = reload_begins
        self.commands: Commands | None = None

    def obey(self, signum: int) -> None:
        """Do what a signal asks for."""
        match signum:
            case Signals.SIGCHLD:
                pass
            case Signals.SIGTERM:
                self.stop()
            case Signals.SIGINT if not self._core.stopping:
                self.stop()
            case Signals.SIGINT | Signals.SIGQUIT:
                self._core.stop_at_once(monotonic())
            case Signals.SIGHUP:
                self.reload()
            case Signals.SIGTTIN:
                self._resize_first(+1)
            case Signals.SIGTTOU:
                self._resize_first(-1)
            case Signals.SIGUSR2:
                self._log.lines("info", self._status.report())
                self._forward(signum)
            case _:
                self._forward(signum)

    def stop(self) -> None:
        """End everything gracefully."""
        self._core.stop(monotonic())

    def reload(self) -> int | None:
        """Take up configuration and code anew; return the generation, or None where the workers only reset."""
        self._reload_begins()
        if self._generations.current.reset_on_hup:
            self._forward(Signals.SIGHUP)
            return None
        self._log.say("info", "reload asked for")
        return self._core.reload()

    def scale(self, name: str, target: int) -> None:
        """Let a service have so many workers.  Raises KeyError and ValueError."""
        self._core.scale(name, target)
        self._log.say("info", f"{name}: {target} workers asked for")

    def _resize_first(self, by: int) -> None:
        for service in self._core.services.values():
            if service.version.workers:  # else dropped by a reload
                least = min(service.target, 1)  # of none, one less is none
                self.scale(service.name, max(service.target + by, least))
                return

    def _forward(self, signum: int) -> None:
        for child in self._core.children.values():
            # A program knows nothing of a state report, and most end on USR2.
            spared = signum == Signals.SIGUSR2 and self.commands is not None and child.pid in self.commands
            if child.slot.service is not None and not spared:
                send(child.pid, signum, self._log)
