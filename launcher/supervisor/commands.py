"""The commands of a launcher: how they come to be, what they say of themselves, and what they write.

Made when the first settings with a command come into force; a launcher without commands has none of this.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Protocol

from launcher.errors import why
from launcher.supervisor import exec_spawner
from launcher.supervisor.exec_spawner import Execution
from launcher.supervisor.notify import NotifySocket
from launcher.supervisor.relay import Origin, Relay, Sink
from launcher.supervisor.stderr import STDERR
from launcher.supervisor.watching import Watcher

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from launcher.supervisor.command import Command
    from launcher.supervisor.log import Log
    from launcher.supervisor.spawn import Ties
    from launcher.supervisor.state import Spawn

SIGKILL = 9
STDOUT = 1
STATUS_MAX = 200  # characters of what a command says of its state
ANCESTRY_MAX = 64  # generations that a process may be below the command that it speaks for


class Host(Watcher, Protocol):
    """The loop, as much as is needed of it."""

    log: Log

    def ties(self) -> Ties: ...


class Commands:
    """All that run.

    Parameters: the loop; to be told of what one says: `ready`, that it is so, and `says`, what it does.
    """

    def __init__(self, host: Host, ready: Callable[[int], None], says: Callable[[int, str], None]) -> None:
        self._host, self._ready, self._says = host, ready, says
        self._relay = Relay(host, host.log.relayed, {"stdout": Sink(STDOUT), "stderr": Sink(STDERR)})
        self._notify: NotifySocket | None = None
        self._running: set[int] = set()
        self._failures: dict[int, str] = {}

    def spawn(self, spawn: Spawn, command: Command, listeners: Sequence[socket.socket]) -> int:
        """Fork a worker; return its PID.  Raises OSError."""
        pipes: list[int] = []
        try:
            for _ in ("stdout", "stderr"):
                pipes += os.pipe2(os.O_CLOEXEC)
            notify_socket = self._notify_socket() if command.notifies else ""
            execution = Execution(
                spawn.service, spawn.slot, command.words_for(spawn.slot), (pipes[1], pipes[3]), notify_socket
            )
            pid = exec_spawner.spawn(execution, listeners, self._host.ties())
        except OSError:
            for fd in pipes:
                os.close(fd)
            raise
        for fd in pipes[1::2]:
            os.close(fd)
        self._running.add(pid)
        for fd, stream in zip(pipes[::2], ("stdout", "stderr"), strict=True):
            self._relay.take(fd, Origin(spawn.service, spawn.slot, pid, stream))
        return pid

    def __contains__(self, pid: int) -> bool:
        """Whether a process that was not buried yet is a command."""
        return pid in self._running

    def kill_group(self, pid: int) -> None:
        """End what a command has forked, too; it was not reaped, so its number is still the group's."""
        try:
            os.killpg(pid, SIGKILL)
        except OSError:  # it has not got so far as to lead one
            pass

    def failed(self, pid: int, error: int) -> None:
        """It could not be executed."""
        # It was there when the settings were checked, and the kernel says the same of what is to run it.
        what = ": it, or the interpreter or loader that it names" if error == errno.ENOENT else ""
        self._failures[pid] = f"cannot be executed: {why(error)}{what}"

    def ended(self, pid: int) -> str:
        """Relay what is left of a command that has ended; return why it could not be executed, if so."""
        if pid not in self._running:
            return ""
        self._running.discard(pid)
        if dropped := self._relay.ended(pid):
            self._host.log.say("warning", f"what {dropped} commands wrote last was lost: our output does not take it")
        return self._failures.pop(pid, "")

    def finish(self) -> None:
        """When all is over: relay what is left, as far as it is taken."""
        self._relay.finish()

    def close_in_child(self) -> None:
        """Close the descriptors that a fork has copied."""
        self._relay.close()
        if self._notify is not None:
            self._notify.close()

    # What they say

    def _notify_socket(self) -> str:
        if self._notify is None:
            self._notify = NotifySocket()
            self._host.watch(self._notify.fd, self.hear)
        return self._notify.name

    def hear(self) -> None:
        """Hear what commands have said: that they are ready, and what they do."""
        for sender, message in self._notify.take() if self._notify else ():
            pid = self._speaks_for(sender)
            if pid is None:
                self._host.log.say("warning", f"process {sender} says that it is a service, but it is none of ours")
                continue
            if (status := message.get("STATUS")) is not None:
                self._says(pid, "".join(filter(str.isprintable, status))[:STATUS_MAX])
            if message.get("READY") == "1":
                self._ready(pid)

    def _speaks_for(self, pid: int) -> int | None:
        """Return the command that a process is or is below of; of others, who is gone already speaks for nobody."""
        if pid in self._running:  # also one that was reaped and not buried yet
            return pid
        try:
            group = os.getpgid(pid)
        except OSError:
            return None
        if group in self._running:
            return group
        for _ in range(ANCESTRY_MAX):
            if pid in self._running:
                return pid
            pid = _parent(pid)
            if pid <= 1:
                break
        return None


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # gone, or no /proc
        return 0
