"""What the WSGI servers of all backends have in common."""

from __future__ import annotations

import errno
import logging
from math import inf

logger = logging.getLogger("launcher.wsgi")
access_logger = logging.getLogger("launcher.access")

BACK_OFF = 0.1
"""Seconds before the next attempt when the system has no descriptor for another client."""
LINGER = 2.0
"""Seconds to read what a client still sends after its last response."""
LEAST_RATE = 500
"""Bytes a second at which a request may come in for as long as it likes."""
# accept(2): a client that gave up, and network errors that were pending on its connection.
CLIENT_GONE = {
    *(errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.ENOPROTOOPT, errno.EPERM, errno.EOPNOTSUPP),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENONET),
}


def wants_access_log() -> bool:
    """Whether the access log was asked for by a level of its own: a level of the root logger is meant for others."""
    return access_logger.level != logging.NOTSET and access_logger.isEnabledFor(logging.INFO)


class Patience:
    """For how many seconds a client may be waited for, from the first byte of a request to its last.

    Bytes that come in win time back, so what is large may take long, and what only trickles ends.
    """

    def __init__(self, seconds: float = inf) -> None:
        self._seconds = self.left = seconds
        self.begun = False
        """Whether a part of a request has come."""

    def received(self, size: int, waited: float) -> None:
        """So many bytes have come after so many seconds."""
        if self.begun:
            self.left = min(self.left - waited + size / LEAST_RATE, self._seconds)
        self.begun = True

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this from now on; what keeps coming wins time back as before."""
        self._seconds = min(self._seconds, seconds)
        self.left = min(self.left, seconds)

    def over(self) -> None:
        """The request is complete; the next one has all the time again."""
        self.left = self._seconds
        self.begun = False
