"""Listening sockets: bound once by the supervisor, shared by all workers of a service.

Guarantees: a worker that dies takes no queued connection with it; a reload that keeps an address,
however it spells it, keeps its socket.  Assumes addresses that `launcher.addresses` has checked, and `launcher.names`
has looked up: what can still be wrong is what only the kernel knows, and it is told in one line.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from launcher.addresses import ANY_PORT, identity, is_ipv6, overlap
from launcher.errors import ConfigError
from launcher.supervisor.inherited import Inherited
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from launcher.supervisor.settings import Listen

    Key = tuple[str, ...]

# The mode belongs to the socket, which those of the old generation are still using.
CHANGED_HANDS = "goes from a command to another kind of service, or back; this takes a restart, a reload cannot do it"
companions: list[socket.socket] = []
"""Listening sockets that the program in this process has bound itself: closed with ours when a stop begins."""
BACKLOG = 2048  # the kernel caps it at net.core.somaxconn


class Listeners:
    """The supervisor's copies of the listening sockets, by what they are bound for."""

    def __init__(self) -> None:
        self._open: dict[Key, socket.socket] = {}
        self._chosen: list[str] = []
        self._inherited = Inherited({})

    def inherit(self, inherited: Inherited) -> None:
        """Use these sockets where they are what is wanted, and close them with ours."""
        self._inherited = inherited

    def bind(self, wanted: Iterable[Listen]) -> None:
        """Bind what is not bound yet.  Raises `ConfigError`, a line for each failure, and changes nothing then."""
        keyed = dict(_keyed(wanted))
        fresh: dict[Key, socket.socket] = {}
        problems, chosen = [], []
        for key, listen in keyed.items():
            try:
                if key in self._open:
                    _check_mode(self._open[key], listen)
                    continue
                claimed = [*fresh.values(), *(self._open[each] for each in keyed if each in self._open)]
                fresh[key] = self._passed(listen, claimed) or self._bound(listen)
            except ValueError as error:
                problems.append(f"listen = {listen.address} ({listen.source}): {error}")
                continue
            if self._is_passed(fresh[key]):
                chosen.append(f"{listen.service}: listens on {_name(fresh[key])}, which was passed to us")
            elif _is_any_port(identity(listen.to_bind)):
                chosen.append(f"{listen.service}: listens on {_name(fresh[key])}, a free port")
        if problems:
            self._close(fresh)
            raise ConfigError("\n".join(problems))
        self._open.update(fresh)
        self._chosen += chosen

    def _passed(self, listen: Listen, claimed: Iterable[socket.socket]) -> socket.socket | None:
        """Return the socket that was passed for this, if one was.  Raises `ValueError` with what is wrong."""
        number = self._inherited.find(listen)
        if number is None:
            return None
        listener = self._inherited.sockets[number]
        if any(listener is each for each in claimed):
            raise ValueError("is the same socket as another of these; keep one of them")
        if any(listener is each for each in self._open.values()):
            _check_mode(listener, listen)
        listener.setblocking(listen.blocking)
        return listener

    def _bound(self, listen: Listen) -> socket.socket:
        try:
            return _bind(listen.to_bind, blocking=listen.blocking)
        except OSError as error:
            raise ValueError(self._ours(listen.to_bind, error) or _explain(listen.address, error)) from None

    def _is_passed(self, listener: socket.socket) -> bool:
        return any(listener is each for each in self._inherited.sockets.values())

    def unused(self, wanted: Iterable[Listen]) -> list[str]:
        """Return what to tell of sockets that were passed to us, and not wanted here; what is wanted is bound."""
        return self._inherited.unused(self._open[key] for key, _ in _keyed(wanted))

    def chosen(self) -> list[str]:
        """Return what to tell of the ports that were chosen since this was last asked."""
        chosen, self._chosen = self._chosen, []
        return chosen

    def of(self, wanted: Iterable[Listen], service: str) -> tuple[socket.socket, ...]:
        """Return the sockets that these settings give to a service."""
        return tuple(self._open[key] for key, listen in _keyed(wanted) if listen.service == service)

    def keep(self, *wanted: Iterable[Listen]) -> None:
        """Close all but these, of one generation or of several."""
        kept = {key for each in wanted for key, _ in _keyed(each)}
        self._close({key: self._open.pop(key) for key in set(self._open) - kept})

    def _ours(self, address: str, error: OSError) -> str:
        """Say so if it is a socket of our own that is in the way."""
        if error.errno != errno.EADDRINUSE or address.startswith("unix:"):
            return ""
        for name in (_name(each) for key, each in self._open.items() if key[0] == "tcp"):
            if overlap(identity(address), identity(name)):
                return f"the launcher itself listens on {name}; this change takes a restart, a reload cannot make it"
        return ""

    def close_in_child(self, keep: Iterable[socket.socket]) -> None:
        """In a forked process: close all but these, which are its own now."""
        kept = {listener.fileno() for listener in keep}
        for listener in (*self._open.values(), *self._inherited.sockets.values()):
            if listener.fileno() not in kept:
                listener.close()

    def close(self) -> None:
        """Close ours: from now on only workers accept, and no client queues where nobody will."""
        self.keep()
        while companions:
            companions.pop().close()
        for listener in self._inherited.sockets.values():
            listener.close()

    def _close(self, sockets: dict[Key, socket.socket]) -> None:
        for key, listener in sockets.items():
            if self._is_passed(listener):  # another reload may want it
                continue
            path = listener.getsockname() if key[0] == "unix" else ""
            listener.close()
            if path:
                remove(path)


def _keyed(wanted: Iterable[Listen]) -> Iterator[tuple[Key, Listen]]:
    """Tell which are the same: an address in any spelling; of a service, the nth free port at a host."""
    seen: dict[Key, int] = {}
    for listen in wanted:
        key = identity(listen.to_bind)
        if _is_any_port(key):
            key = (*key, listen.service)
            seen[key] = seen.get(key, 0) + 1
            key = (*key, str(seen[key]))
        yield key, listen


def _check_mode(listener: socket.socket, listen: Listen) -> None:
    if listener.getblocking() != listen.blocking:
        raise ValueError(CHANGED_HANDS)


def _is_any_port(key: Key) -> bool:
    return key[0] == "tcp" and key[2] == ANY_PORT


def _name(listener: socket.socket) -> str:
    if listener.family == unpatched("socket").AF_UNIX:
        path = listener.getsockname()
        return f"unix:{path if isinstance(path, str) else '@' + path[1:].decode(errors='replace')}"
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if is_ipv6(host) else f"{host}:{port}"


def _bind(address: str, *, blocking: bool = False) -> socket.socket:
    sockets = unpatched("socket")
    listener: socket.socket
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        where: str | tuple[str, int] = path
        remove_stale(path)
    else:
        _, host, port = identity(address)
        listener = sockets.socket(sockets.AF_INET6 if is_ipv6(host) else sockets.AF_INET, sockets.SOCK_STREAM)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if is_ipv6(host) and "." not in host:  # but for ::ffff:192.0.2.1, which is IPv4
            # Else [::] takes the port of all IPv4 addresses too, and 0.0.0.0 cannot be had beside it.
            listener.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 1)
        where = host, int(port)
    try:
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(blocking)
    return listener


def remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on: a supervisor that was killed has left it."""
    sockets = unpatched("socket")
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
            probe.setblocking(False)  # the queue of a listener that hangs may be full
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


def _explain(address: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE if address.startswith("unix:") and not _is_socket(address.removeprefix("unix:")):
            return "the path exists and is no socket; remove it, or choose another"
        case errno.EADDRINUSE:
            return "the address is in use; stop what uses it, or choose another"
        case errno.EACCES | errno.EPERM:
            return "not permitted; choose a port from 1024 or a folder that this user may write to"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case _:
            return (error.strerror or str(error)).lower()


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:  # a link to nowhere
        return False
