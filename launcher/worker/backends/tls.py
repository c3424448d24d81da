"""TLS of one connection without input or output: bytes go in and bytes come out.

The servers do the reading and writing themselves, so they need neither eventlet's green copy of `ssl.SSLSocket` nor
the original, which holds decrypted input that poll(2) knows nothing of.

Assumptions: one thread at a time uses a stream.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

PLAIN_HTTP = b"Client sent an HTTP request to a port that speaks HTTPS.\n"
PLAIN_HTTP_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"
    % (len(PLAIN_HTTP), PLAIN_HTTP)
)
PIECE = 65536
"""Bytes that are received or encrypted at a time: a few records."""


class Stream:
    """The server's end of a connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def feed(self, received: bytes) -> None:
        """Take what came from the network; nothing is its end."""
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is done.  Raises `ssl.SSLError` if it has failed."""
        with suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
            return True
        return False

    def read(self, size: int = PIECE) -> bytes | None:
        """Return what the client has said, nothing at its end, None if more has to be fed first."""
        try:
            return self._tls.read(size)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def write(self, data: bytes | memoryview) -> None:
        """Say something to the client."""
        self._tls.write(data)

    def end(self) -> None:
        """Say that no more will come: without that, what ends with the connection seems cut off."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()

    def take(self) -> bytes:
        """Return what is to be sent over the network."""
        return self._outgoing.read()

    def refuse(self, error: ssl.SSLError) -> bytes:
        """Return the last words to a client whose handshake has failed."""
        return PLAIN_HTTP_ANSWER if error.reason == "HTTP_REQUEST" else self.take()

    def environ(self) -> dict[str, str]:
        """Return what a WSGI environment says of it; the names are those of Apache's mod_ssl."""
        certificate = self._tls.getpeercert(binary_form=True)
        client = {"SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(certificate)} if certificate else {}
        return {"wsgi.url_scheme": "https", "HTTPS": "on", **client}


def told(error: ssl.SSLError) -> str:
    """Return for people why a handshake failed."""
    return (error.reason or str(error)).lower().replace("_", " ")
