"""The socket at which commands say that they are ready: the receiving end of sd_notify(3).

An abstract Unix datagram socket, so that it needs no writable folder and reaches a command that has changed
its user.  Anybody in the network namespace can write to it, so the kernel's word for who wrote is asked for:
whether that is one of ours is decided by whoever listens here.
"""

from __future__ import annotations

import array
import os
import struct
from typing import TYPE_CHECKING, Any

from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

MESSAGE_MAX = 4096  # bytes
AT_ONCE = 64  # messages before everybody else has a turn
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid; unix(7)

Message = dict[str, str]


class NotifySocket:
    """`name` is what NOTIFY_SOCKET has to be; `fd` is readable when somebody has said something."""

    def __init__(self) -> None:
        sockets = unpatched("socket")
        self._socket: socket.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM)
        self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_PASSCRED, 1)
        self._socket.bind("")  # the kernel finds a free abstract name
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self.name: str = "@" + self._socket.getsockname()[1:].decode()

    def take(self) -> Iterator[tuple[int, Message]]:
        """Yield who wrote, as a PID, and what: variables and their values."""
        space = unpatched("socket").CMSG_SPACE(_CREDENTIALS.size)
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(MESSAGE_MAX, space)
            except BlockingIOError:
                return
            yield _sender(ancillary), _variables(data)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _sender(ancillary: list[tuple[int, int, Any]]) -> int:
    """Return the PID that the kernel vouches for, 0 if there is none; descriptors sent along are closed.

    A sender's barrier (sd_notify_barrier(3)) waits for just that.
    """
    sockets = unpatched("socket")
    pid = 0
    for _, kind, data in ancillary:
        if kind == sockets.SCM_CREDENTIALS and len(data) == _CREDENTIALS.size:
            pid, _, _ = _CREDENTIALS.unpack(data)
        elif kind == sockets.SCM_RIGHTS:
            fds = array.array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            for fd in fds:
                os.close(fd)
    return int(pid)


def _variables(data: bytes) -> Message:
    lines = data.decode(errors="replace").splitlines()
    return {name: value for name, equals, value in (line.partition("=") for line in lines) if equals}
