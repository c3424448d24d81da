"""Listening sockets: bound once by the supervisor, shared by all workers of a service.

Guarantees: a worker that dies takes no queued connection with it; a reload that keeps an address keeps
its socket.  Assumes addresses that `launcher.addresses` has checked: what can still be wrong is what
only the kernel knows, and it is told in one line.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from launcher.errors import ConfigError
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from launcher.supervisor.settings import Listen

BACKLOG = 2048  # the kernel caps it at net.core.somaxconn


class Listeners:
    """The supervisor's copies of the listening sockets, by address."""

    def __init__(self) -> None:
        self._open: dict[str, socket.socket] = {}

    def bind(self, wanted: Iterable[Listen]) -> None:
        """Bind what is not bound yet.  Raises `ConfigError`, a line for each failure, and changes nothing then."""
        fresh: dict[str, socket.socket] = {}
        problems = []
        for listen in wanted:
            if listen.address in self._open or listen.address in fresh:
                continue
            try:
                fresh[listen.address] = _bind(listen.address)
            except OSError as error:
                problems.append(f"listen = {listen.address} ({listen.source}): {_explain(error)}")
        if problems:
            _close(fresh)
            raise ConfigError("\n".join(problems))
        self._open.update(fresh)

    def of(self, wanted: Iterable[Listen], service: str) -> tuple[socket.socket, ...]:
        """Return the sockets that these settings give to a service."""
        return tuple(self._open[listen.address] for listen in wanted if listen.service == service)

    def keep(self, wanted: Iterable[Listen]) -> None:
        """Close all but these."""
        addresses = {listen.address for listen in wanted}
        _close({address: self._open.pop(address) for address in set(self._open) - addresses})

    def close_in_child(self, keep: Iterable[socket.socket]) -> None:
        """In a forked process: close all but these, which are its own now."""
        kept = {listener.fileno() for listener in keep}
        for listener in self._open.values():
            if listener.fileno() not in kept:
                listener.close()

    def close(self) -> None:
        """Close ours: from now on only workers accept, and no client queues where nobody will."""
        self.keep(())


def _close(sockets: dict[str, socket.socket]) -> None:
    for address, listener in sockets.items():
        listener.close()
        if address.startswith("unix:"):
            remove(address.removeprefix("unix:"))


def _bind(address: str) -> socket.socket:
    sockets = unpatched("socket")
    listener: socket.socket
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        where: str | tuple[str, int] = path
        remove_stale(path)
    else:
        host, _, port = address.rpartition(":")
        family = sockets.AF_INET6 if host.startswith("[") else sockets.AF_INET
        listener = sockets.socket(family, sockets.SOCK_STREAM)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        where = host.strip("[]"), int(port)
    try:
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on: a supervisor that was killed has left it."""
    sockets = unpatched("socket")
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
            probe.connect(path)
    except ConnectionRefusedError:
        remove(path)
    except OSError:  # not there; or bind will say what is wrong with it
        pass


def remove(path: str) -> None:
    """Remove a file, if it can be."""
    try:
        os.unlink(path)
    except OSError:  # the folder went read-only, or somebody was faster
        pass


def _explain(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use; stop what uses it, or choose another"
        case errno.EACCES | errno.EPERM:
            return "not permitted; choose a port from 1024 or a folder that this user may write to"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return (error.strerror or str(error)).lower()
