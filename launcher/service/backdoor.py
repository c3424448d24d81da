"""A door through which whoever may debugs a worker: a Unix socket with a Python shell behind it.

Guarantees: only root and the worker's own user come in, by the mode of the socket and by what the kernel says of the
client; the newest worker has the path, at no moment is there none; what a worker that was killed has left is removed;
where there can be no door, one warning says why, and all else goes on.  Nobody waits for a client, least of all a stop.
"""

from __future__ import annotations

import errno
import glob
import logging
import os
import re
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.addresses import LONGEST_PATH
from launcher.errors import why
from launcher.service.shell import Shell, divert, undivert
from launcher.supervisor.unpatched import unpatched
from launcher.worker import backends

if TYPE_CHECKING:
    import socket

CLIENTS_MAX = 8  # at a time
RESPITE = 1.0  # seconds without new clients when there is no descriptor for another one
PLACEHOLDER = re.compile(r"\{(pid|worker|service)\}")
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid; unix(7)
logger = logging.getLogger("launcher.backdoor")


class Backdoor:
    """Lets clients in.

    Parameters: a listening socket, which is taken over; the names that their shells have.
    """

    def __init__(self, listener: socket.socket, names: dict[str, Any]) -> None:
        self._listener, self._names = listener, names
        self._shells: set[Shell] = set()

    def serve(self) -> None:
        """Let clients in until it is closed."""
        self._listener.setblocking(False)
        with self._listener:
            while True:
                backends.current().wait_readable(self._listener.fileno())
                try:
                    client, _ = self._listener.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError as error:
                    if error.errno == errno.EINVAL:  # it was shut down
                        return
                    backends.current().sleep(RESPITE)
                    continue
                self._let_in(client)

    def close(self) -> None:
        """Let nobody in any more, and end the shells."""
        with suppress(OSError):
            self._listener.shutdown(2)  # closed under who waits for it, nobody would be woken
        for shell in list(self._shells):
            shell.hang_up()

    def _let_in(self, client: socket.socket) -> None:
        client.setblocking(False)
        if len(self._shells) >= CLIENTS_MAX or not _may_enter(client):
            client.close()
            return
        shell = Shell(client, self._names)
        self._shells.add(shell)
        backends.current().spawn(self._converse, shell)

    def _converse(self, shell: Shell) -> None:
        divert()
        try:
            shell.converse()
        finally:
            self._shells.discard(shell)
            if not self._shells:
                undivert()


class Door:
    """A backdoor at a path, as far as there can be one.

    Parameters: the path, with `{pid}`, `{worker}` and `{service}` in it; what the last two are; what shells know.
    """

    def __init__(self, template: str, *, worker: int, service: str, names: dict[str, Any]) -> None:
        values = {"pid": os.getpid(), "worker": worker, "service": service}
        self._path = Path(PLACEHOLDER.sub(lambda match: str(values[match[1]]), template))
        self._backdoor: Backdoor | None = None
        self._owner = os.getpid()
        try:
            reason = _hindrance(self._path)
            if not reason:
                _remove_stale(template)
                listener = _listen(self._path)
                self._inode = _inode(self._path)
                self._backdoor = Backdoor(listener, names)
        except OSError as error:
            reason = why(error.errno) if error.errno else str(error)
        if self._backdoor is not None:
            backends.current().spawn(self._backdoor.serve)
        else:
            logger.warning("backdoor_socket = %s: no backdoor: %s", self._path, reason)

    def close(self) -> None:
        """Close it, and remove the file unless another worker has the path by now."""
        if self._backdoor is None or os.getpid() != self._owner:  # one that the application has forked ends
            return
        with suppress(OSError):
            if _inode(self._path) == self._inode:
                self._path.unlink()
        self._backdoor.close()


def _hindrance(path: Path) -> str:
    """Return why there can be no socket; a folder that is not there is made.  Raises OSError."""
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        return f"the path is too long: {size} bytes, the kernel takes at most {LONGEST_PATH}"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    mode = path.parent.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        return f"everybody may write to {path.parent}, so another socket could take its place: chmod o-w {path.parent}"
    if os.path.lexists(path) and not path.is_socket():
        return "the path exists and is no socket: remove it, or choose another"
    return ""


def _listen(path: Path) -> socket.socket:
    """Bind beside the path and move there: nobody finds the path empty, or sees another mode.  Raises OSError."""
    sockets = unpatched("socket")
    beside = path.with_name(f".{os.getpid()}")
    listener: socket.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        beside.unlink(missing_ok=True)  # of a process that had our PID
        listener.bind(str(beside))
        beside.chmod(0o600)  # nobody can connect before we listen
        listener.listen(CLIENTS_MAX)
        beside.rename(path)
    except OSError:
        listener.close()
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    return listener


def _remove_stale(template: str) -> None:
    """Remove the sockets of this name that nobody listens on any more."""
    for name in glob.glob(PLACEHOLDER.sub("*", glob.escape(template))):  # noqa: PTH207 - it is no Path
        path = Path(name)
        if path.is_socket() and _is_dead(name):
            with suppress(OSError):
                path.unlink()


def _is_dead(name: str) -> bool:
    """Whether nobody has bound it.  Asked by a socket of another type: it is refused, and wakes no listener."""
    sockets = unpatched("socket")
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as probe:
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
    return False


def _inode(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _may_enter(client: socket.socket) -> bool:
    """Whether a client is root or our user, as the kernel says; a client of a port can only be local."""
    sockets = unpatched("socket")
    if client.family != sockets.AF_UNIX:
        return True
    credentials = client.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in {0, os.geteuid()}
