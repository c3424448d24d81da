"""The hooks that the supervisor has run: `pre_stop` and `worker_exit`, each in a process forked from a mold.

Guarantees: nothing waits for a `worker_exit` hook, and a `pre_stop` hook that cannot be run, or whose process or mold
is gone, is over.  The application of the newest generation that is loaded is asked.  The processes are not the
core's: to it they are orphans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.supervisor.wording import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.supervisor.log import Log

PRE_STOP, WORKER_EXIT = "pre_stop", "worker_exit"
WORKER_EXIT_TIMEOUT = 5.0  # seconds
NOBODY = 0  # generation; the first is 1


@dataclass(frozen=True, slots=True)
class HookCall:
    """Run a hook; the answer to it is a notice, as to a Spawn."""

    serial: int
    """Below 0: no Spawn's."""
    moment: str
    timeout: float
    """Seconds after which the process is killed."""
    about: dict[str, Any]
    """What `worker_exit` is told; nothing for `pre_stop`."""


class Hooks:
    """The hooks that were asked for and have not ended.

    Parameters: `ask`, to have a mold run one, which raises OSError; `pre_stop_ended`, to tell that it is over.
    """

    def __init__(self, log: Log, ask: Callable[[HookCall], int], pre_stop_ended: Callable[[], None]) -> None:
        self._log, self._ask, self._pre_stop_ended = log, ask, pre_stop_ended
        self._serial = 0
        self._asked: dict[int, tuple[str, int]] = {}
        self._running: dict[int, str] = {}

    def pre_stop(self, timeout: float) -> None:
        """A stop begins."""
        self._call(PRE_STOP, timeout, {})

    def worker_exit(self, about: dict[str, Any]) -> None:
        """A worker has ended."""
        self._call(WORKER_EXIT, WORKER_EXIT_TIMEOUT, about)

    def _call(self, moment: str, timeout: float, about: dict[str, Any]) -> None:
        self._serial -= 1
        self._asked[self._serial] = moment, NOBODY
        try:
            generation = self._ask(HookCall(self._serial, moment, timeout, about))
        except OSError as error:
            del self._asked[self._serial]
            self._not_run(moment, (error.strerror or str(error)).lower())
            return
        if self._serial in self._asked:  # else it has failed already
            self._asked[self._serial] = moment, generation

    def born(self, serial: int, pid: int) -> None:
        """Its process was forked."""
        moment, _ = self._asked.pop(serial, ("", 0))
        if moment:
            self._running[pid] = moment

    def failed(self, serial: int, reason: str) -> None:
        """Its process could not be forked."""
        moment, _ = self._asked.pop(serial, ("", 0))
        if moment:
            self._not_run(moment, f"cannot fork: {reason}")

    def ended(self, pid: int, status: int) -> bool:
        """A process has ended; return whether it was a hook's."""
        moment = self._running.pop(pid, None)
        if moment is None:
            return False
        level = "warning" if status else "debug"
        self._log.say(level, f"hook {moment}: process {pid} ended: {describe(status)}")
        self._over(moment)
        return True

    def mold_ended(self, generation: int) -> None:
        """What was asked of this mold and not begun is not run."""
        for serial, (moment, asked) in list(self._asked.items()):
            if asked == generation:
                del self._asked[serial]
                self._not_run(moment, "its mold is gone")

    def _not_run(self, moment: str, reason: str) -> None:
        self._log.say("warning", f"hook {moment} was not run: {reason}")
        self._over(moment)

    def _over(self, moment: str) -> None:
        if moment == PRE_STOP:
            self._pre_stop_ended()
