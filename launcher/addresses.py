"""The addresses that services listen on, as a user writes them: `[SERVICE=]ADDRESS`.

Nothing is bound or looked up here.  What parses can be handed to the supervisor, which binds it; whether the address
is in use, only the kernel knows.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

FORMS = "[SERVICE=]HOST:PORT, :PORT, [IPV6]:PORT or unix:PATH"
LONGEST_PATH = 107  # bytes; sockaddr_un has 108, one of them the final NUL
LAST_PORT = 65535
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{0,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on, and for whom."""

    text: str
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `unix:PATH`."""
    service: str | None
    """None where the user left it to us."""
    identity: tuple[str, ...] | None
    """Equal for two addresses that cannot both be bound; None for one that never collides."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `[SERVICE=]ADDRESS`.  Raises `ValueError` with what is wrong."""
        service, equals, address = text.partition("=")
        if not equals or text.startswith("unix:"):
            return cls(text, None, _identity(text))
        if not service.strip():
            raise ValueError(f"no service before =; must be {FORMS}")
        address = address.strip()
        return cls(address, service.strip(), _identity(address))


def _identity(address: str) -> tuple[str, ...] | None:
    if address.startswith("unix:"):
        return _unix(address.removeprefix("unix:"))
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"must be {FORMS}")
    number = _port(port)
    identity = ("tcp", _host(host), str(number))
    return identity if number else None


def _unix(path: str) -> tuple[str, ...]:
    if not path or "\0" in path:
        raise ValueError("no path after unix:")
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ValueError(f"socket path too long: {size} bytes, the kernel takes at most {LONGEST_PATH}")
    return ("unix", os.path.normpath(path))


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > LAST_PORT:
        raise ValueError(f"the port must be a number from 1 to {LAST_PORT}, or 0 for any free one")
    return int(text)


def _host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1])
    if ":" in host:
        raise ValueError(f"must be {FORMS}; an IPv6 address needs its brackets")
    if re.fullmatch(r"[0-9.]+", host):
        return _ipv4(host)
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"not a host name; must be {FORMS}")
    return host.lower() or "0.0.0.0"  # noqa: S104 - what the user asked for by `:PORT`


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        raise ValueError("not an IPv4 address") from None


def _ipv6(host: str) -> str:
    try:
        return str(IPv6Address(host))
    except AddressValueError:
        raise ValueError("not an IPv6 address between the brackets") from None
