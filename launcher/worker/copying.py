"""A worker forks a copy of itself that becomes the mold (re-molding): what the worker has loaded, all later ones share.

The copy is asked of the supervisor, and made where the worker's main code runs, so that the workers forked from it
begin there as any other.

Guarantees: the worker goes on as it was, and forks only while it has one thread and no request in flight.  The copy
never runs anything that the worker had begun: its tasks are kept as they are, for one that is collected would be
woken to clean up.  It shares no descriptor with the worker but those that the mold before it had, and files that are
only appended to; each of the others is replaced by one of /dev/null, so that an object which still holds its number
reaches nobody, and closes only that.
"""

from __future__ import annotations

import _socket
import array
import fcntl
import gc
import json
import os
import posix  # eventlet replaces os.open by one that tells its hub
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import EXIT_SOFTWARE
from launcher.supervisor.notices import BUSY, THREADS, Born, ForkFailed, Ready, announce
from launcher.supervisor.spawn import MESSAGE_MAX, flush, fork
from launcher.worker.parent import adopted, die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from launcher.supervisor.signals import SignalInbox
    from launcher.supervisor.spawn import Ties
    from launcher.worker.backends import Backend, Event

FDS_MAX = 253  # SCM_MAX_FD; unix(7)
STDIO = (0, 1, 2)
File = tuple[int, int] | None  # device and inode; None: no telling one from another
QUIET_TRIES, QUIET_PAUSE = 100, 0.05  # seconds; then the supervisor asks again later


def receive(wire: _socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """Receive a message and the descriptors that come with it."""
    space = _socket.CMSG_SPACE(FDS_MAX * 4)
    data, ancillary, _, _ = wire.recvmsg(MESSAGE_MAX, space, _socket.MSG_CMSG_CLOEXEC | flags)
    return data, _received(ancillary)


def _received(ancillary: list[tuple[int, int, Any]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


@dataclass(frozen=True, slots=True)
class Request:
    """The supervisor wants a copy."""

    serial: int
    fd: int
    """The copy's end of its channel, as a mold."""


class Original:
    """A worker that may be asked for a copy.

    Parameters: its end of the channel on which it is asked; the listening sockets that it was given; what a mold does,
    given its own channel, until it ends; a mold's ties.  Make it before the worker opens anything.
    """

    def __init__(self, fd: int, listeners: Sequence[int], serve: Callable[[_socket.socket], None], ties: Ties) -> None:
        self._wire = _socket.socket(fileno=fd)
        self._serve, self._ties = serve, ties
        self._inherited: dict[int, File] = {}
        with suppress(OSError):  # there is no /proc: it will say so when it is asked
            self._inherited = {each: file for each, file in _files().items() if each not in {fd, *listeners}}

    def wait(self, backend: Backend) -> Request | None:
        """Return the next request; None when the supervisor is gone."""
        while True:
            backend.wait_readable(self._wire.fileno())
            try:
                data, fds = receive(self._wire, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                return None
            return Request(json.loads(data)["serial"], fds[0]) if data and fds else None

    def answer(self, request: Request, backend: Backend, inbox: SignalInbox, stop: Event) -> None:
        """Fork a copy, or say why not."""
        try:
            error = self._hindrance(backend, stop) or self._fork(request, backend, inbox)
        except OSError as err:  # the kernel has no process left, or there is no /proc
            error = err.errno or EXIT_SOFTWARE
        finally:
            os.close(request.fd)
        if error:
            announce(self._ties.notice_fd, ForkFailed(request.serial, error))

    def _hindrance(self, backend: Backend, stop: Event) -> int:
        """Wait a little for a moment without a request; nothing else runs from then until the fork."""
        for _ in range(QUIET_TRIES):
            if not backend.requests_in_flight():
                return THREADS if len(os.listdir("/proc/self/task")) > 1 else 0  # noqa: PTH208 - only how many
            if stop.wait(QUIET_PAUSE):
                break
        return BUSY

    def _fork(self, request: Request, backend: Backend, inbox: SignalInbox) -> int:
        """Fork twice, so that the kernel hands the copy to the supervisor."""

        def between() -> int:
            parent = os.getpid()
            try:
                pid = fork(lambda: self._become_mold(parent, request, backend), prologue=self._let_go(request))
            except OSError as error:
                announce(self._ties.notice_fd, ForkFailed(request.serial, error.errno or EXIT_SOFTWARE))
            else:
                announce(self._ties.notice_fd, Born(request.serial, pid))
            os._exit(0)

        flush()  # or the copy would say it once more
        pid = fork(between, prologue=inbox.close)
        os.waitid(os.P_PID, pid, os.WEXITED)
        return 0

    # In the copy

    def _let_go(self, request: Request) -> Callable[[], None]:
        kept = {request.fd, self._ties.notice_fd, self._ties.lifeline_fd, *STDIO}

        def prologue() -> None:
            files = _files()
            _blind(fd for fd, file in files.items() if not (fd in kept or self._is_inherited(fd, file) or _is_log(fd)))

        return prologue

    def _is_inherited(self, fd: int, file: File) -> bool:
        """Whether the mold before had it, and the worker has not opened another one in its place."""
        return file is not None and self._inherited.get(fd) == file

    def _become_mold(self, parent: int, request: Request, backend: Backend) -> int:
        backend.abandon_tasks()
        backend.after_fork()
        adopted(parent)
        if not die_with(self._ties.supervisor, signal.SIGTERM):
            return 1
        gc.collect()
        gc.freeze()
        announce(self._ties.notice_fd, Ready(os.getpid()))
        self._serve(_socket.socket(fileno=request.fd))
        return 0


def _files() -> dict[int, File]:
    """Return the descriptors of this process, each with what it is of.  Raises OSError."""
    found: dict[int, File] = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers
        try:
            status = os.fstat(int(name))
        except OSError:  # the one with which the directory was read
            continue
        anonymous = not stat.S_IFMT(status.st_mode)  # epoll, eventfd and so on: they all have one inode
        found[int(name)] = None if anonymous else (status.st_dev, status.st_ino)
    return found


def _is_log(fd: int) -> bool:
    """Whether a file is only appended to: two processes do not disturb each other in it."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return bool(flags & os.O_APPEND) and flags & os.O_ACCMODE == os.O_WRONLY


def _blind(fds: Iterable[int]) -> None:
    """Let descriptors lead nowhere, and keep their numbers taken."""
    null = posix.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in fds:
        os.dup2(null, fd, inheritable=False)
    os.close(null)
