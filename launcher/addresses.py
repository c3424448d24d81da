"""The addresses that services listen on, as a user writes them: `[SERVICE=]ADDRESS`.

Nothing is bound or looked up here; names are another file's part.  What parses can be bound by the supervisor; whether
the address is in use, only the kernel knows.  The supervisor uses this too: it imports next to nothing.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

FORMS = "[SERVICE=]HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH or fd://NUMBER"
LONGEST_PATH = 107  # bytes; sockaddr_un has 108, one of them the final NUL
LAST_PORT = 65535
ANY_PORT = "0"
FD = "fd://"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what a user may ask for
_IPV4 = re.compile(r"[0-9.]+")
_PASSED = re.compile(r"[3-9]|[1-9][0-9]{1,4}|(?![0-9]+\Z)[^:\s]{1,255}", re.ASCII)  # sd_listen_fds_with_names(3)
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{0,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on, and for whom."""

    text: str
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `unix:PATH` or `fd://NUMBER-OR-NAME`."""
    service: str | None
    """None where the user left it to us."""
    identity: tuple[str, ...]
    """`identity(text)`"""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `[SERVICE=]ADDRESS`.  Raises `ValueError` with what is wrong."""
        service, equals, address = text.partition("=")
        if not equals or text.startswith(("unix:", FD)):
            return cls(text, None, identity(text))
        if not service.strip():
            raise ValueError(f"no service before =; must be {FORMS}")
        address = address.strip()
        return cls(address, service.strip(), identity(address))


def identity(address: str) -> tuple[str, ...]:
    """Return `("unix", PATH)`, `("tcp", HOST, PORT)` or `("fd", WHICH)`, equal for all spellings of an address.

    Raises `ValueError` with what is wrong.
    """
    if address.startswith("unix:"):
        return _unix(address.removeprefix("unix:"))
    if address.startswith(FD):
        return _passed(address.removeprefix(FD))
    host, colon, port = address.rpartition(":")
    if not colon:
        raise ValueError(f"must be {FORMS}")
    number = _port(port)
    return ("tcp", _host(host), str(number))


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two identities cannot both be bound, as far as that is known without looking names up."""
    match one, other:
        case ("tcp", _, port), ("tcp", _, other_port) if port != other_port or port == ANY_PORT:
            return False
        case ("tcp", host, _), ("tcp", other_host, _) if host in EVERYWHERE or other_host in EVERYWHERE:
            return is_ipv6(host) == is_ipv6(other_host)
    return one == other


def is_ipv6(host: str) -> bool:
    """Whether the host of an identity is an IPv6 address; names are looked up as IPv4."""
    return ":" in host


def is_name(host: str) -> bool:
    """Whether the host of an identity has to be looked up."""
    return not is_ipv6(host) and not _IPV4.fullmatch(host)


def _unix(path: str) -> tuple[str, ...]:
    if not path or "\0" in path:
        raise ValueError("no path after unix:")
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ValueError(f"socket path too long: {size} bytes, the kernel takes at most {LONGEST_PATH}")
    return ("unix", os.path.normpath(path))


def _passed(which: str) -> tuple[str, ...]:
    if not _PASSED.fullmatch(which):
        raise ValueError(f"after {FD} comes the number of a descriptor that was passed, from 3 on, or its name")
    return ("fd", which)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > LAST_PORT:
        raise ValueError(f"the port must be a number from 1 to {LAST_PORT}, or 0 for any free one")
    return int(text)


def _host(host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1])
    if ":" in host:
        raise ValueError(f"must be {FORMS}; an IPv6 address needs its brackets")
    if _IPV4.fullmatch(host):
        return _ipv4(host)
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"not a host name; must be {FORMS}")
    return host.lower() or EVERYWHERE[0]


def _ipv4(host: str) -> str:
    try:
        return _normal(socket.AF_INET, host)
    except (OSError, ValueError):
        raise ValueError("not an IPv4 address") from None


def _ipv6(host: str) -> str:
    zone = re.search(r"%[^%/\s\0]+\Z", host)
    address = host[: zone.start()] if zone else host
    try:
        return _normal(socket.AF_INET6, address) + (zone[0] if zone else "")
    except (OSError, ValueError):
        raise ValueError("not an IPv6 address between the brackets") from None


def _normal(family: int, address: str) -> str:
    return socket.inet_ntop(family, socket.inet_pton(family, address))
