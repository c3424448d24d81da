"""The pipe on which forked processes tell the supervisor what became of them.

One pipe for all: a notice is far smaller than PIPE_BUF, so the kernel keeps each in one piece
(pipe(7)).  A process writes before it ends, so whoever collects the dead first and reads this pipe
second has heard everything that the dead had to say.  Each begins with a mark: what an application writes here by
mistake, to a number that was another descriptor's, is passed over and costs no notice after it.
"""

from __future__ import annotations

import os
import posix  # eventlet replaces os.read and os.write by ones that wait in a hub
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARK = b"\xf5ntc"
_FORMAT = struct.Struct("=4sBii")
_BORN, _READY, _FORK_FAILED, _SPENT, _EXEC_FAILED = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Born:
    """A mold has forked the worker that the Spawn of this serial number asked for."""

    serial: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker serves."""

    pid: int


@dataclass(frozen=True, slots=True)
class Spent:
    """A worker has served as many requests as it may, and asks to be replaced."""

    pid: int


THREADS, BUSY = -1, -2  # why a worker does not fork a copy of itself


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """A mold could not fork a worker, or a worker a mold; `error` is an errno, or one of the numbers above."""

    serial: int
    error: int


@dataclass(frozen=True, slots=True)
class ExecFailed:
    """A command could not be executed; `error` is an errno."""

    pid: int
    error: int


Notice = Born | Ready | Spent | ForkFailed | ExecFailed


class NoticePipe:
    """Both ends; the supervisor reads `fd`, everybody below it inherits `write_fd`."""

    def __init__(self) -> None:
        self.fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.fd, False)
        self._rest = b""

    def take(self) -> Iterator[Notice]:
        """Yield what was written since the last call."""
        while True:
            try:
                data = posix.read(self.fd, 65536)
            except BlockingIOError:
                return
            for kind, first, second in self._marked(self._rest + data):
                match kind:
                    case _ if kind == _BORN:
                        yield Born(first, second)
                    case _ if kind == _READY:
                        yield Ready(first)
                    case _ if kind == _SPENT:
                        yield Spent(first)
                    case _ if kind == _FORK_FAILED:
                        yield ForkFailed(first, second)
                    case _ if kind == _EXEC_FAILED:
                        yield ExecFailed(first, second)

    def _marked(self, data: bytes) -> Iterator[tuple[int, int, int]]:
        """Yield the fields of each notice in `data`, and keep what may be the beginning of one."""
        end = 0
        while (begin := data.find(_MARK, end)) >= 0 and begin + _FORMAT.size <= len(data):
            _, kind, first, second = _FORMAT.unpack_from(data, begin)
            end = begin + _FORMAT.size
            yield kind, first, second
        self._rest = data[begin:] if begin >= 0 else data[end:][-len(_MARK) + 1 :]

    def close(self) -> None:
        """Close both ends."""
        os.close(self.fd)
        os.close(self.write_fd)


def announce(write_fd: int, notice: Notice) -> None:
    """Write a notice; the supervisor being gone is for the parent watch to find out.

    Raises `LauncherError` if the application has closed the descriptor.
    """
    match notice:
        case Born(serial, pid):
            fields = (_BORN, serial, pid)
        case Ready(pid):
            fields = (_READY, pid, 0)
        case Spent(pid):
            fields = (_SPENT, pid, 0)
        case ForkFailed(serial, error):
            fields = (_FORK_FAILED, serial, error)
        case ExecFailed(pid, error):
            fields = (_EXEC_FAILED, pid, error)
    try:
        posix.write(write_fd, _FORMAT.pack(_MARK, *fields))
    except BrokenPipeError:
        pass
    except OSError as error:
        raise LauncherError(
            f"descriptor {write_fd}, which ties this process to its supervisor, is not there any more "
            f"({(error.strerror or str(error)).lower()}): a service must leave alone what it did not open"
        ) from None
