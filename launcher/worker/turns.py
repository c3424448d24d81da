"""Work that is asked for at any time, and done one turn after the other: taking up a configuration, say."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """A call that runs beside the caller, never twice at a time.

    Asked for while it runs, however often, it runs once more afterwards.  What it raises is logged.
    """

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._lock = RLock()  # for a moment only: nobody waits with it in hand
        self._asked = self._running = False

    def ask(self) -> None:
        """Have it run."""
        with self._lock:
            self._asked = True
            if self._running:
                return
            self._running = True
        backends.current().spawn(self._run)

    def _run(self) -> None:
        while self._next():
            backends.current().guard(self._call)

    def _next(self) -> bool:
        with self._lock:
            self._running, self._asked = self._asked, False
            return self._running
