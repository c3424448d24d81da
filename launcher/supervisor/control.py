"""The control socket: where the commands of the CLI ask PID 1 how things are, and what to do.

A Unix stream socket; a client sends one JSON object on a line and gets one back.  Guarantees: it is
never a reason not to start, and no client disturbs PID 1: peers of another user are refused, descriptors
are bounded, nothing waits for a slow client (clients.py), and of too many the one that takes longest is dropped.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from launcher.supervisor.clients import Client
from launcher.supervisor.places import FILE_NAME, abstract_name, folders
from launcher.supervisor.sockets import remove, remove_stale
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from launcher.supervisor.clients import Answer
    from launcher.supervisor.timers import Timer
    from launcher.supervisor.watching import Watcher

CLIENTS_MAX = 32  # at a time; beside them are those that wait for a reload (reloads.py)
BACKLOG = 128  # connections that were not accepted yet
RESPITE = 1.0  # seconds without new clients when descriptors or memory have run out
PATH_MAX = 107  # bytes; unix(7)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid; unix(7)


class ControlSocket:
    """Answers clients from the supervisor's loop.

    Parameters: `answer`, from request and client to reply; `loop`, to hear of descriptors.
    """

    def __init__(self, answer: Answer, loop: Watcher) -> None:
        self._answer, self._loop = answer, loop
        self._listener: socket.socket | None = None
        self._path = ""
        self.taken = ""
        """The place that somebody else listens in already, if that is where we would have been."""
        self._pause: Timer | None = None
        self._clients: dict[int, Client] = {}  # by descriptor, in the order of their coming

    def open(self, runtime_dir: str) -> str | None:
        """Listen in the first place that will have us; return where, or None when none would."""
        for address in _addresses(runtime_dir):
            try:
                listener = _listen(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and _answers(address):
                    self.taken = self.taken or address.replace("\0", "@")
            else:
                self._listener, self._path = listener, address
                self._resume(listener)
                return address.replace("\0", "@")
        return None

    def close(self) -> None:
        """Stop listening and remove the file."""
        for client in list(self._clients.values()):
            client.drop()
        if self._listener is None:
            return
        if self._pause is None:
            self._loop.unwatch(self._listener.fileno())
        else:
            self._pause.cancel()
        self._listener.close()
        self._listener = None
        if not self._path.startswith("\0"):
            remove(self._path)

    def close_in_child(self) -> None:
        """Close the descriptors that a fork has copied."""
        for client in self._clients.values():
            client.close_in_child()
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it went away
            return
        except OSError:  # out of descriptors or memory: it stays in the queue, and would wake us for ever
            self._loop.unwatch(listener.fileno())
            self._pause = self._loop.timers.after(RESPITE, lambda: self._resume(listener))
            return
        connection.setblocking(False)
        if not _is_ours(connection):
            connection.close()
            return
        self._make_room()
        client = Client(connection, self._loop, self._answer, self._forget)
        self._clients[client.fd] = client

    def _resume(self, listener: socket.socket) -> None:
        self._pause = None
        self._loop.watch(listener.fileno(), lambda: self._accept(listener))

    def _make_room(self) -> None:
        busy = [client for client in self._clients.values() if not client.waits]
        if len(busy) >= CLIENTS_MAX:
            busy[0].drop()

    def _forget(self, client: Client) -> None:
        self._clients.pop(client.fd, None)


def _addresses(runtime_dir: str) -> Iterator[str]:
    """Yield the places to try; a folder is made only when those before it would not do."""
    for folder in folders(runtime_dir):
        path = os.path.join(folder, FILE_NAME)
        if _private(folder) and len(os.fsencode(path)) <= PATH_MAX:
            yield path
    yield abstract_name(runtime_dir)


def _private(folder: str) -> bool:
    """Whether we may put the socket there: it is ours to write, and in /tmp nobody else's to begin with."""
    try:
        if folder.startswith("/tmp/"):  # noqa: S108 - this is the check
            os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError:
        return False
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    ours = not folder.startswith("/tmp/") or found.st_uid == os.geteuid()  # noqa: S108
    return ours and stat.S_ISDIR(found.st_mode) and os.access(folder, os.W_OK)


def _listen(address: str) -> socket.socket:
    """Raises OSError."""
    sockets = unpatched("socket")
    listener: socket.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    try:
        if not address.startswith("\0"):
            remove_stale(address)
        mask = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(mask)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _answers(address: str) -> bool:
    """Whether somebody listens there; what is no socket does not."""
    sockets = unpatched("socket")
    try:
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
            probe.setblocking(False)
            probe.connect(address)
    except BlockingIOError:  # its queue is full
        return True
    except OSError:
        return False
    return True


def _is_ours(client: socket.socket) -> bool:
    sockets = unpatched("socket")
    credentials = client.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in (0, os.geteuid())
