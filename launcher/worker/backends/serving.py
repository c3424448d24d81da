"""What the WSGI servers of all backends have in common."""

from __future__ import annotations

import errno
import logging

logger = logging.getLogger("launcher.wsgi")
access_logger = logging.getLogger("launcher.access")

BACK_OFF = 0.1
"""Seconds before the next attempt when the system has no descriptor for another client."""
# accept(2): a client that gave up, and network errors that were pending on its connection.
CLIENT_GONE = {
    *(errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.ENOPROTOOPT, errno.EPERM, errno.EOPNOTSUPP),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENONET),
}


def wants_access_log() -> bool:
    """Whether the access log was asked for by a level of its own: a level of the root logger is meant for others."""
    return access_logger.level != logging.NOTSET and access_logger.isEnabledFor(logging.INFO)
