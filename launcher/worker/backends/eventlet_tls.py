"""A client of `eventlet_wsgi` that speaks TLS."""

from __future__ import annotations

import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from eventlet import greenio

from launcher.worker.backends.eventlet_client import Client
from launcher.worker.backends.serving import logger
from launcher.worker.backends.tls import PIECE, Stream, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from launcher.worker.backends import Tls
    from launcher.worker.backends.serving import Patience

T = TypeVar("T")


class TlsClient(Client):
    """A client's socket that takes and gives plain bytes, and speaks TLS with the network."""

    def __init__(self, sock: socket, patience: Patience, tls: Tls) -> None:
        super().__init__(sock, patience)
        self._timeout_of_handshake = tls.handshake_timeout
        self._tls = Stream(tls.context)

    def shake_hands(self, address: Any) -> bool:
        """Do the handshake; return whether there is a connection.  If not, the client knows by then."""
        deadline = monotonic() + self._timeout_of_handshake
        try:
            while not self._tls.shake_hands():
                self._flush()
                self.settimeout(max(deadline - monotonic(), 0.001))
                self._tls.feed(greenio.GreenSocket.recv(self, PIECE))
            self._flush()
        except ssl.SSLError as error:
            logger.debug("TLS handshake with %r failed: %s", address, told(error))
            self._refuse(error)
            return False
        except OSError as error:
            logger.debug("TLS handshake with %r failed: %s", address, error)
            return False
        self.settimeout(None)
        return True

    def environ(self) -> dict[str, str]:
        """Return what the WSGI environment says of the connection."""
        return self._tls.environ()

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ARG002 - a socket's signature
        """Receive, and note that the client is gone if that fails."""
        size = nbytes or len(buffer)
        while (plain := self._speak(self._tls.read, size)) is None:
            self._flush()  # the answer to a change of keys
            self._tls.feed(self.patiently(greenio.GreenSocket.recv, self, PIECE))
        buffer[: len(plain)] = plain
        return len(plain)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ARG002 - a socket's signature
        """Send, and note that the client is gone if that fails."""
        piece = memoryview(data)[:PIECE]
        self._speak(self._tls.write, piece)
        self._flush()
        return len(piece)

    def end(self) -> None:
        """Tell the client that nothing more will come."""
        self._tls.end()
        self._flush()
        super().end()

    def _speak(self, call: Callable[..., T], *args: Any) -> T:
        try:
            return call(*args)
        except ssl.SSLError:
            self.gone = True  # or somebody in between is at work
            raise

    def _flush(self) -> None:
        self._send_all(self._tls.take())

    def _send_all(self, encrypted: bytes) -> None:
        left = memoryview(encrypted)
        while left:
            left = left[super().send(left) :]

    def _refuse(self, error: ssl.SSLError) -> None:
        with suppress(OSError):  # it may have gone
            self._send_all(self._tls.refuse(error))
            super().end()
            self.linger()
