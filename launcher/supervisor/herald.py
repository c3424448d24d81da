"""What the superior is told, and when: READY, RELOADING, STOPPING, STATUS and WATCHDOG of sd_notify(3).

Guarantees: without a superior nothing is done, and with one nothing is sent while nothing changes, but for the signs of
life that it asks for.  Messages arrive in order; one that its queue does not take is sent again a second later, one
for which nobody is there is dropped.  Neither is ever waited for.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from launcher.errors import why
from launcher.supervisor.superior import reloading

if TYPE_CHECKING:
    from launcher.supervisor.core import Core
    from launcher.supervisor.log import Log
    from launcher.supervisor.reloads import Reloads
    from launcher.supervisor.status import Status
    from launcher.supervisor.superior import Superior
    from launcher.supervisor.timers import Timer, Timers

RESPITE = 1.0  # seconds until a full queue is tried again
WAITING_MAX = 64  # messages; of more, the oldest are dropped
STATUS_MAX = 200  # characters


class Herald:
    """Tells the superior.

    Parameters: `superior`; what there is to tell of; `timers`, for what is to be sent later; `log`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each is asked something else
        self, superior: Superior, core: Core, status: Status, reloads: Reloads, timers: Timers, log: Log
    ) -> None:
        self._superior, self._core, self._status, self._reloads = superior, core, status, reloads
        self._timers, self._log = timers, log
        self._ready = self._reloading = self._stopping = self._unheard = False
        self._told = ""  # as STATUS
        self._waiting: deque[str] = deque(maxlen=WAITING_MAX)
        self._retry: Timer | None = None
        if superior.patience < inf:
            self._live()

    def reload_begins(self) -> None:
        """A reload was asked for.  One that comes before everything is ready is part of the start."""
        if self._ready and not self._core.stopping:
            self._reloading = True
            self._tell(reloading())

    def look(self) -> None:
        """Tell what has changed."""
        if not self._superior.address:
            return
        if self._core.stopping:
            if not self._stopping:
                self._stopping = True
                self._tell("STOPPING=1")
        elif not self._ready:
            if self._status.is_complete():
                self._ready = True
                self._tell("READY=1", *self._main_pid())
        elif self._reloading and self._status.reloading() is None:
            self._reloading = False
            self._tell("READY=1")
        self._tell()

    def _main_pid(self) -> tuple[str, ...]:
        return (f"MAINPID={self._superior.main_pid}",) if self._superior.main_pid else ()

    def _tell(self, *assignments: str) -> None:
        """Send assignments, and with them the status if it is another one."""
        status = self._line()
        if status != self._told:
            self._told = status
            assignments = (*assignments, f"STATUS={status}")
        if assignments:
            self._waiting.append("\n".join(assignments))
            self._send()

    def _line(self) -> str:
        """Say how things are; why the last reload failed too, until another one does not."""
        state = "reloading" if self._reloading and not self._stopping else self._status.state()
        line, last = f"{state}: {self._status.counts()}", self._reloads.last
        if reason := self._core.state.end[1]:
            line = f"{state}: {reason}"
        elif last is not None and last.error:
            line += f"; the last reload failed: {last.error}"
        return "".join(each if each.isprintable() else " " for each in line)[:STATUS_MAX]

    def _send(self) -> None:
        """Send what waits, in order, as far as it is taken."""
        if self._retry is not None and self._retry.is_set:
            return
        while self._waiting:
            try:
                self._superior.send(self._waiting[0])
            except BlockingIOError:
                self._retry = self._timers.after(RESPITE, self._send)
                return
            except OSError as error:
                self._complain(error)
            self._waiting.popleft()

    def _complain(self, error: OSError) -> None:
        if not self._unheard:
            self._unheard = True
            reason = why(error.errno) if error.errno else str(error)
            self._log.say("warning", f"NOTIFY_SOCKET = {self._superior.address}: cannot be told how we are: {reason}")

    def _live(self) -> None:
        """Give a sign of life, and the next one when half of the time for it is over."""
        if not self._waiting:  # else it would only come later, and say nothing
            self._waiting.append("WATCHDOG=1")
            self._send()
        self._timers.after(self._superior.patience / 2, self._live)
