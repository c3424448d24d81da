"""oslo.service's `eventlet_backdoor`: a debugging shell at a port of the loopback address, or at a Unix socket.

The shell is that of `launcher.service.backdoor`.  At a Unix socket only root and our own user come in; at a port, as
ever, anybody on this machine, so it is better not used.  `prof` is not there: it takes yappi.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import eventlet

from launcher.oslo import _options
from launcher.service.backdoor import Backdoor
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    from oslo_config import cfg

LOG = logging.getLogger(__name__)
HOST = "localhost"
FORMS = "use a number, START:END for the first free one of these, or 0 for any"


class EventletBackdoorConfigValueError(Exception):
    """The option backdoor_port makes no sense."""

    def __init__(self, port_range: str, help_msg: str, ex: Exception) -> None:
        super().__init__(f"backdoor_port = {port_range}: {ex}; {help_msg}")
        self.port_range = port_range


def initialize_if_enabled(conf: cfg.ConfigOpts) -> int | str | None:
    """Listen where `backdoor_socket` says, else where `backdoor_port` says; return that path or port, if there is one.

    Raises `EventletBackdoorConfigValueError`, and OSError where there can be no socket.
    """
    conf.register_opts(_options.eventlet_backdoor_opts)
    where: int | str
    if conf.backdoor_socket is not None:
        where, listener = _at_path(conf.backdoor_socket)
    elif conf.backdoor_port is not None:
        where, listener = _at_port(str(conf.backdoor_port))
    else:
        return None
    LOG.info("Eventlet backdoor listening on %s for process %d", where, os.getpid())
    eventlet.spawn(_serve, listener)
    return where


def _at_path(template: str) -> tuple[str, Any]:
    try:
        path = template.format(pid=os.getpid())
    except (LookupError, ValueError) as error:
        LOG.warning("backdoor_socket = %s is taken as it is: %r", template, error)
        path = template
    try:
        return path, eventlet.listen(path, socket.AF_UNIX)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    try:
        os.unlink(path)  # noqa: PTH108 - of a process that has ended, or has our path
    except FileNotFoundError:
        pass
    return path, eventlet.listen(path, socket.AF_UNIX)


def _at_port(text: str) -> tuple[int, Any]:
    first, last = _parse_port_range(text)
    for port in range(first, last + 1):
        try:
            listener = eventlet.listen((HOST, port), reuse_port=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
        else:
            return listener.getsockname()[1], listener
    raise AssertionError


def _parse_port_range(text: str) -> tuple[int, int]:
    start, colon, end = text.partition(":")
    try:
        first, last = int(start), int(end if colon else start)
    except ValueError as error:
        raise EventletBackdoorConfigValueError(text, FORMS, error) from None
    if last < first:
        raise EventletBackdoorConfigValueError(text, FORMS, ValueError(f"{last} is less than {first}"))
    return first, last


def _serve(listener: Any) -> None:
    """Serve on a socket of its own: a green one would wait by itself."""
    own = unpatched("socket").socket(fileno=os.dup(listener.fileno()))
    listener.close()
    if own.family == socket.AF_UNIX:
        os.chmod(own.getsockname(), 0o600)  # noqa: PTH101 - nobody else gets in until then, either
    Backdoor(own, {}).serve()
