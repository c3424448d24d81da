"""Telling the superior how we are, in a program that is its own only process.

What the supervisor's herald does for `launcher run`, done beside the program's tasks.

Guarantees: messages arrive in order; one that the superior's queue does not take is sent again a second later, one for
which nobody is there costs one warning.  Neither is ever waited for.  All of it may be called from any thread.
"""

from __future__ import annotations

import logging
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING

from launcher.errors import why
from launcher.worker import backends

if TYPE_CHECKING:
    from launcher.supervisor.superior import Superior

RESPITE = 1.0  # seconds until a full queue is tried again
WAITING_MAX = 64  # messages; of more, the oldest are dropped
logger = logging.getLogger("launcher.service")


class Teller:
    """Tells a superior, if there is one."""

    def __init__(self, superior: Superior) -> None:
        self._superior = superior
        self._waiting: deque[str] = deque(maxlen=WAITING_MAX)
        self._lock = RLock()
        self._pausing = self._unheard = False

    def ready(self) -> None:
        """Say that we are, and which process that is where it may be in doubt."""
        pid = self._superior.main_pid
        self.tell(f"READY=1\nMAINPID={pid}" if pid else "READY=1")

    def alive(self) -> None:
        """Give a sign of life; behind others it would only come later, and say nothing."""
        if not self._waiting:
            self.tell("WATCHDOG=1")

    def tell(self, message: str) -> None:
        """Send assignments, one a line."""
        if self._superior.address:
            with self._lock:
                self._waiting.append(message)
                self._send()

    def _send(self) -> None:
        while self._waiting and not self._pausing:
            try:
                self._superior.send(self._waiting[0])
            except BlockingIOError:
                self._pausing = True
                backends.current().spawn(self._send_later)
                return
            except OSError as error:
                self._complain(error)
            self._waiting.popleft()

    def _send_later(self) -> None:
        backends.current().sleep(RESPITE)
        with self._lock:
            self._pausing = False
            self._send()

    def _complain(self, error: OSError) -> None:
        if not self._unheard:
            self._unheard = True
            reason = why(error.errno) if error.errno else str(error)
            logger.warning("NOTIFY_SOCKET = %s: cannot be told how we are: %s", self._superior.address, reason)
