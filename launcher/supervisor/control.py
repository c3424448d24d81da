"""The control socket: where `launcher healthcheck` asks PID 1 how things are.

A Unix stream socket; a client sends one JSON object on a line and gets one back.  Guarantees: it is
never a reason not to start, and no client disturbs PID 1: peers of another user are refused, a request
is bounded, nothing waits for a slow client, and of too many the one that waits longest is dropped.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from launcher.supervisor.places import FILE_NAME, abstract_name, folders
from launcher.supervisor.sockets import remove, remove_stale
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    Answer = Callable[[dict[str, Any]], dict[str, Any]]

REQUEST_MAX = 4096  # bytes
CLIENTS_MAX = 32
PATH_MAX = 107  # bytes; unix(7)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid; unix(7)


class ControlSocket:
    """Answers clients from the supervisor's loop.

    Parameters: `answer`, from request to reply; `watch` and `unwatch`, to hear of descriptors.
    """

    def __init__(
        self, answer: Answer, watch: Callable[[int, Callable[[], None]], None], unwatch: Callable[[int], None]
    ) -> None:
        self._answer, self._watch, self._unwatch = answer, watch, unwatch
        self._listener: socket.socket | None = None
        self._path = ""
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}

    def open(self, runtime_dir: str) -> str | None:
        """Listen in the first place that will have us; return where, or None when none would."""
        for address in _addresses(runtime_dir):
            listener = _listen(address)
            if listener is not None:
                self._listener, self._path = listener, address
                self._watch(listener.fileno(), partial(self._accept, listener))
                return address.replace("\0", "@")
        return None

    def close(self) -> None:
        """Stop listening and remove the file."""
        for fd in list(self._clients):
            self._drop(fd)
        if self._listener is None:
            return
        self._unwatch(self._listener.fileno())
        self._listener.close()
        self._listener = None
        if not self._path.startswith("\0"):
            remove(self._path)

    def close_in_child(self) -> None:
        """Close the descriptors that a fork has copied."""
        for client, _ in self._clients.values():
            client.close()
        if self._listener is not None:
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # it went away, or we are out of descriptors: it will be told by its end
            return
        client.setblocking(False)
        if not _is_ours(client):
            client.close()
            return
        if len(self._clients) >= CLIENTS_MAX:
            self._drop(next(iter(self._clients)))
        fd = client.fileno()
        self._clients[fd] = client, bytearray()
        self._watch(fd, lambda: self._read(fd))

    def _read(self, fd: int) -> None:
        client, request = self._clients[fd]
        try:
            data = client.recv(REQUEST_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request += data
        if data and b"\n" not in request and len(request) < REQUEST_MAX:
            return
        if data:
            self._reply(client, bytes(request))
        self._drop(fd)

    def _reply(self, client: socket.socket, request: bytes) -> None:
        try:
            parsed = json.loads(request.partition(b"\n")[0])
            reply = self._answer(parsed) if isinstance(parsed, dict) else {"error": "not an object"}
        except (ValueError, RecursionError):
            reply = {"error": "not JSON"}
        try:
            client.send(json.dumps(reply).encode() + b"\n")
        except OSError:  # it did not wait for the answer
            pass

    def _drop(self, fd: int) -> None:
        client, _ = self._clients.pop(fd)
        self._unwatch(fd)
        client.close()


def _addresses(runtime_dir: str) -> Iterator[str]:
    """Yield the places to try; a folder is made only when those before it would not do."""
    for folder in folders(runtime_dir):
        path = os.path.join(folder, FILE_NAME)
        if _private(folder) and len(os.fsencode(path)) <= PATH_MAX:
            yield path
    yield abstract_name()


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


def _listen(address: str) -> socket.socket | None:
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
        listener.listen(CLIENTS_MAX)
    except OSError:
        listener.close()
        return None
    listener.setblocking(False)
    return listener


def _is_ours(client: socket.socket) -> bool:
    sockets = unpatched("socket")
    credentials = client.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in (0, os.geteuid())
