"""Host names in `listen`: looked up before PID 1 is handed the addresses, for a name server may take its time.

A name stands for its first IPv4 address, as of when a generation is loaded.
"""

from __future__ import annotations

import _socket  # eventlet patches `socket`, not this
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from launcher.addresses import identity, is_name, overlap
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.supervisor.settings import Listen, Settings


def look_up(settings: Settings) -> Settings:
    """Return the settings with a number for each host that is a name.

    Raises `ConfigError` with a line for each that cannot be looked up, or that turns out to be another's address.
    """
    found, problems = [], []
    for listen in settings.listen:
        try:
            found.append(replace(listen, numeric=_numeric(listen.address)))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            problems.append(f"{_told(listen)}: the host name cannot be looked up: {why}; mend it, or use an address")
    if problems := problems or [*_clashes(found)]:
        raise ConfigError("\n".join(problems))
    return replace(settings, listen=tuple(found))


def _numeric(address: str) -> str:
    kind, host, *port = identity(address)
    if kind != "tcp" or not is_name(host):
        return ""
    addresses = _socket.getaddrinfo(host.encode(), None, _socket.AF_INET, _socket.SOCK_STREAM)
    return f"{addresses[0][4][0]}:{port[0]}"


def _clashes(listens: Sequence[Listen]) -> Iterator[str]:
    for one, other in combinations(listens, 2):
        if (one.numeric or other.numeric) and overlap(identity(one.to_bind), identity(other.to_bind)):
            yield f"{_told(other)}: is {other.to_bind}, which overlaps with {one.address}; keep one of them"


def _told(listen: Listen) -> str:
    return f"listen = {listen.address} ({listen.source})"
