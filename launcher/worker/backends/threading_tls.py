"""A connection of `threading_wsgi` that speaks TLS.

The handshake is done in the loop's thread, a step for each time that something comes, so a client that is slow at it
keeps nobody waiting.  waitress sends from the threads of the application and receives in the loop: a lock is around
what is encrypted or decrypted, for OpenSSL takes one thread at a time, and the order of records is that of sending.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from launcher.worker.backends.serving import LINGER, logger
from launcher.worker.backends.threading_channel import Channel
from launcher.worker.backends.tls import PIECE, Stream, told

if TYPE_CHECKING:
    from collections.abc import Iterator


class TlsChannel(Channel):
    """One connection."""

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:  # noqa: A002 - waitress's name
        self._tls = Stream(server.owner.terms.tls.context)
        self._lock = threading.Lock()
        self._unsent = memoryview(b"")
        self._is_secure = self._has_ended = False
        self._refused_at = 0.0
        super().__init__(server, sock, addr, adj, map=map)

    def environ(self) -> dict[str, str]:
        """Return what the WSGI environment says of the connection."""
        with self._lock:
            return self._tls.environ()

    @property
    def due(self) -> float:
        """When it is ended if nothing happens until then, on the monotonic clock."""
        if self._refused_at:
            return self._refused_at + LINGER
        if not self._is_secure:
            return float(self.accepted + self.server.owner.terms.tls.handshake_timeout)
        if self._unsent:
            return inf
        if self._has_ended and not self.requests and not self.total_outbufs_len:
            return 0.0
        return super().due

    def expire(self) -> None:
        """End it: it was due."""
        if self._is_secure and not self._has_ended:
            super().expire()
            return
        if not self._is_secure and not self._refused_at:
            logger.debug("TLS handshake with %r failed: timed out", self.addr)
        self.handle_close()

    def readable(self) -> bool:
        """Whether to receive more now."""
        return not self._has_ended and bool(super().readable())

    def writable(self) -> bool:
        """Whether there is something to send."""
        return bool(self._unsent) or bool(super().writable())

    # What waitress calls when something can be received or sent

    def handle_read(self) -> None:
        """Receive; waitress gets what it decrypts to."""
        self._waited = time.monotonic() - self.last_activity
        try:
            received = self.socket.recv(PIECE)
            if self._is_secure:
                self._hear(received)
            elif received and not self._refused_at:
                self._shake_hands(received)
            elif not received:
                self.handle_close()
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(error)

    def handle_write(self) -> None:
        """Send what is due."""
        try:
            with self._lock:
                if not self._flush():
                    return
        except OSError as error:
            self._lose(error)
            return
        if self._refused_at:
            self._say_no_more()
        else:
            super().handle_write()

    def send(self, data: bytes, do_close: bool = True) -> int:  # noqa: FBT001, FBT002 - waitress's signature
        """Take some to be sent; return how much, which is nothing while what was taken before is not out."""
        try:
            with self._lock:
                return self._send(data)
        except OSError as error:
            if do_close:
                self._lose(error)
            return 0

    def handle_close(self) -> None:
        """End the connection, and say so to the client."""
        if self._is_secure and self.connected:
            with self._lock, suppress(OSError):
                self._tls.end()
                self._flush()
        super().handle_close()

    def _lose(self, error: OSError) -> None:
        logger.debug("connection of %r lost: %s", self.addr, error)
        self.connected = False
        self.handle_close()

    def _shake_hands(self, received: bytes) -> None:
        self._tls.feed(received)
        try:
            self._is_secure = self._tls.shake_hands()
        except ssl.SSLError as error:
            logger.debug("TLS handshake with %r failed: %s", self.addr, told(error))
            self._refused_at = time.monotonic()
            self._unsent = memoryview(bytes(self._unsent) + self._tls.refuse(error))
            if self._flush():
                self._say_no_more()
            return
        with self._lock:
            self._flush()
        if self._is_secure:
            self.accepted = time.monotonic()  # a thread is kept free for it from now on, it idles from now on
            self.touch()
            self._hear_all()

    def _say_no_more(self) -> None:
        # What is still coming is read until the client has seen this: a reset would overtake it.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _hear(self, received: bytes) -> None:
        with self._lock:
            self._tls.feed(received)
        self._hear_all()

    def _hear_all(self) -> None:
        with self._lock:
            plain = b"".join(self._read_all())
            self._flush()  # the answer to a change of keys
        if plain:
            self.touch()
            self.received(plain)

    def _read_all(self) -> Iterator[bytes]:
        """Decrypt all that came: poll(2) knows nothing of what would be left."""
        while (piece := self._tls.read()) is not None:
            if not piece:
                self._has_ended = True
                return
            yield piece

    # Under the lock

    def _send(self, data: bytes) -> int:
        if not self._flush():
            return 0
        piece = memoryview(data)[:PIECE]
        self._tls.write(piece)
        self._flush()
        return len(piece)

    def _flush(self) -> bool:
        """Send what is encrypted; return whether all of it is out."""
        if more := self._tls.take():
            self._unsent = memoryview(bytes(self._unsent) + more)
        try:
            while self._unsent:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True
