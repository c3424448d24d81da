"""A client's socket, as `eventlet_wsgi` deals with it."""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from eventlet import greenio, patcher

from launcher.worker.backends.serving import LINGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from launcher.worker.backends.serving import Patience

_socket = patcher.original("socket")


class Client(greenio.GreenSocket):  # type: ignore[misc]
    """A client's socket that knows when an error was the network's, not the application's, and for how long to wait."""

    gone = False

    def __init__(self, sock: socket, patience: Patience) -> None:
        super().__init__(sock)
        self.patience = patience
        self._waits_since = inf

    @property
    def waits(self) -> float:
        """For how many seconds nothing has come of what is waited for."""
        return monotonic() - self._waits_since

    def shake_hands(self, address: Any) -> bool:  # noqa: ARG002 - a kind that speaks TLS logs it
        """Do what comes before the first request; return whether there is a connection."""
        return True

    def environ(self) -> dict[str, str]:
        """Return what the WSGI environment says of the connection."""
        return {}

    def send(self, data: Any, flags: int = 0) -> int:
        """Send, and note that the client is gone if that fails."""
        try:
            return int(super().send(data, flags))
        except OSError:
            self.gone = True
            raise

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive, and note that the client is gone if that fails."""
        return int(self.patiently(super().recv_into, buffer, nbytes, flags))

    def patiently(self, receive: Callable[..., Any], *args: Any) -> Any:
        """Return what is received within the client's time, a number of bytes or bytes.  Raises `OSError`."""
        self._waits_since = begun = monotonic()
        own = self.gettimeout()
        if self.patience.begun and self.patience.left < inf and not self.act_non_blocking:
            self.settimeout(max(self.patience.left, 0.001))
        try:
            received = receive(*args)
        except OSError:
            self.gone = True
            raise
        finally:
            self._waits_since = inf
            self.settimeout(own)
        self.patience.received(received if isinstance(received, int) else len(received), monotonic() - begun)
        return received

    def end(self) -> None:
        """Tell the client that nothing more will come."""
        self.shutdown(_socket.SHUT_WR)

    def linger(self) -> None:
        """Read what the client still sends.

        close() with unread input makes the kernel send a reset, which can overtake the response.
        """
        deadline = monotonic() + LINGER
        while (left := deadline - monotonic()) > 0:
            self.settimeout(left)
            if not self.recv(65536):
                return
