"""Requests to a mold that its channel has no room for yet: PID 1 never waits for a mold that is slow to fork.

Guarantees: what was posted is sent in order and in one piece, or it is told that it failed, or the mold is gone and its
end answers for all.  A listening socket is not kept open for a request that waits: one that was closed meanwhile, by
a stop or a reload, fails the request.  Few requests are under way at a time, for each holds descriptors, and the
kernel lets a user have only so many in flight (unix(7), ETOOMANYREFS).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

SEND_BUFFER = 8192  # bytes, which the kernel doubles: some twenty requests


class Outbox:
    """The requests to one mold.

    Parameters: our end of its channel, which does not block; `failed`, to tell the serial number of a request that
    could not be sent, and why.
    """

    def __init__(self, channel: socket.socket, failed: Callable[[int, str], None]) -> None:
        sockets = unpatched("socket")
        channel.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, SEND_BUFFER)
        self._send, self._channel, self._failed = sockets.send_fds, channel, failed
        self._waiting: deque[tuple[int, bytes, Sequence[socket.socket], Sequence[socket.socket]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def post(
        self,
        serial: int,
        request: bytes,
        passed: Sequence[socket.socket],
        given: Sequence[socket.socket] = (),
    ) -> None:
        """Send a request and sockets, now or when there is room: `flush` is to be called then.

        Those that are given are closed here once they are on their way, or cannot be.
        """
        self._waiting.append((serial, request, passed, given))
        self.flush()

    def flush(self) -> None:
        """Send what there is room for."""
        while self._waiting:
            serial, request, passed, given = self._waiting[0]
            try:
                self._send(self._channel, [request], [each.fileno() for each in (*passed, *given)])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self.close()
                return
            except OSError as error:
                self._drop_first()
                self._failed(serial, (error.strerror or str(error)).lower())
            else:
                self._drop_first()

    def close(self) -> None:
        """Give up what waits: whoever was to get it is gone."""
        while self._waiting:
            self._drop_first()

    def _drop_first(self) -> None:
        for each in self._waiting.popleft()[3]:
            each.close()
