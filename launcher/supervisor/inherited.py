"""Listening sockets that whoever started us has passed: the receiving end of sd_listen_fds(3).

They are ours for as long as we run, used or not, so a reload may take up what another one has let go.  What they are
bound to is not ours: no file is removed and no mode changed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.addresses import identity, is_ipv6
from launcher.errors import ConfigError, why
from launcher.supervisor.command import FIRST_FD
from launcher.supervisor.settings import DEFAULT
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, MutableMapping

    from launcher.supervisor.settings import Listen

VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
MOST = 1000  # descriptors; whoever passes more means something else


class Inherited:
    """Those sockets, by their numbers.

    Parameters: their names, of which two may be the same; a name may be empty.
    """

    def __init__(self, names: dict[int, str]) -> None:
        sockets = unpatched("socket")
        self._names = names
        self.sockets: dict[int, socket.socket] = {fd: sockets.socket(fileno=fd) for fd in names}

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Inherited:
        """Take what an environment says out of it, and take over what it speaks of, if it means this process.

        Raises `ConfigError`, a line for each descriptor that is no listening socket.
        """
        pid, count, names, _ = (environ.pop(name, "") for name in VARIABLES)
        if not count or pid != str(os.getpid()):
            return cls({})
        if not (count.isascii() and count.isdecimal() and int(count) <= MOST):
            raise ConfigError(f"LISTEN_FDS = {count}: must be a number of descriptors, at most {MOST}")
        fds = range(FIRST_FD, FIRST_FD + int(count))
        called = names.split(":") if names else [""] * len(fds)
        if len(called) != len(fds):
            raise ConfigError(f"LISTEN_FDNAMES = {names}: has {len(called)} names for LISTEN_FDS = {count}")
        if problems := [f"LISTEN_FDS = {count}: descriptor {fd} {flaw}" for fd in fds if (flaw := _flaw(fd))]:
            raise ConfigError("\n".join(problems))
        for fd in fds:
            os.set_inheritable(fd, False)
        return cls(dict(zip(fds, called, strict=True)))

    def find(self, listen: Listen) -> int | None:
        """Return the number of the socket that is meant, None if none is.  Raises `ValueError` with what is wrong."""
        kind, *rest = key = identity(listen.to_bind)
        if kind == "fd":
            return self._named(rest[0])
        if listen.source == DEFAULT and self.sockets:
            first = min(self.sockets)
            if len(self.sockets) > 1:
                raise ValueError(f"{self} were passed; say which is for {listen.service}, as in fd://{first}")
            return first
        return next((fd for fd, each in self.sockets.items() if key in _identities(each)), None)

    def unused(self, used: Iterable[socket.socket]) -> list[str]:
        """Return what to say of those that nobody serves on."""
        taken = {each.fileno() for each in used}
        idle = [self._title(fd) for fd in self.sockets if fd not in taken]
        return [f"{', '.join(idle)}: passed to us, but no service listens on it"] if idle else []

    def __str__(self) -> str:
        """Return all of them for people."""
        return ", ".join(map(self._title, self.sockets)) or "no sockets"

    def _named(self, name: str) -> int:
        found = [fd for fd, each in self._names.items() if name in {each, str(fd)}]
        if len(found) > 1:
            raise ValueError(f"several sockets have this name: {', '.join(map(self._title, found))}; use a number")
        if not found:
            raise ValueError(f"no such socket was passed to us by LISTEN_FDS, but {self}")
        return found[0]

    def _title(self, fd: int) -> str:
        return f"descriptor {fd} ({self._names[fd]})" if self._names[fd] else f"descriptor {fd}"


def _flaw(fd: int) -> str:
    """Return why a descriptor is no socket that we can listen on."""
    sockets = unpatched("socket")
    try:
        found = sockets.socket(fileno=fd)
    except OSError as error:
        return f"is no socket: {why(error.errno or 0)}"
    try:
        if not found.getsockopt(sockets.SOL_SOCKET, sockets.SO_ACCEPTCONN):
            return "is no listening socket; systemd passes one where Accept=no"
        return ""
    finally:
        found.detach()


def _identities(listener: socket.socket) -> set[tuple[str, ...]]:
    """Return the identities of the addresses that a socket takes clients of."""
    sockets = unpatched("socket")
    name = listener.getsockname()
    if listener.family == sockets.AF_UNIX:
        return {("unix", name)} if isinstance(name, str) and name else set()  # an abstract name is bytes
    host, port = name[:2]
    found: set[tuple[str, ...]] = {("tcp", host, str(port))}
    if is_ipv6(host) and host == "::" and not listener.getsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY):
        found.add(("tcp", "0.0.0.0", str(port)))  # noqa: S104 - as systemd binds a port without an address
    return found
