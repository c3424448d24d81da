"""Whoever started us and wants to hear how we are: the sending end of sd_notify(3).

Not to be confused with notify.py, the receiving end, at which our own commands say that they are ready.

Guarantees: what it asks for is taken out of the environment, so nobody below us speaks in our name; a message is one
datagram, taken at once or refused; no descriptor is kept, so another one may take the superior's place at its address.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import inf
from time import monotonic_ns
from typing import TYPE_CHECKING

from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NOTIFY_SOCKET = "NOTIFY_SOCKET"
WATCHDOG_USEC, WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"
LONGEST = 86_400.0  # seconds; epoll counts milliseconds in a C int
SHORTEST = 0.01  # seconds; nobody is asked for more than a hundred signs of life a second


@dataclass(frozen=True, slots=True)
class Superior:
    """Where it listens, and what it wants to hear."""

    address: str = ""
    """A path, or a name in the abstract namespace after `@`; empty: nobody listens."""
    patience: float = inf
    """Seconds within which it wants a sign of life (`WatchdogSec=` of systemd)."""
    main_pid: int | None = None
    """Ours, where it takes another process for the one it has started: a shell that did not exec."""

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Superior:
        """Read it of an environment, and take it out."""
        address = environ.pop(NOTIFY_SOCKET, "")
        patience = _patience(environ.pop(WATCHDOG_USEC, ""), environ.pop(WATCHDOG_PID, ""))
        # As PID 1 we are in a namespace of our own, and that number would mean somebody else to it.
        behind_a_shell = os.getpid() != 1 and environ.get("SYSTEMD_EXEC_PID") == str(os.getppid())
        return cls(address, patience if address else inf, os.getpid() if behind_a_shell else None)

    def send(self, message: str) -> None:
        """Send assignments, one a line.  Raises OSError, `BlockingIOError` if its queue is full."""
        sockets = unpatched("socket")
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM | sockets.SOCK_NONBLOCK) as sender:
            sender.sendto(message.encode(errors="backslashreplace"), _where(self.address))


def reloading() -> str:
    """Return the message that a reload begins now."""
    return f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns() // 1000}"


def _where(address: str) -> bytes:
    return b"\0" + os.fsencode(address[1:]) if address.startswith("@") else os.fsencode(address)


def _patience(microseconds: str, pid: str) -> float:
    """Return how long it waits for a sign of life of this very process (sd_watchdog_enabled(3))."""
    meant = pid in {"", str(os.getpid())}
    seconds = int(microseconds) / 1e6 if meant and microseconds.isascii() and microseconds.isdecimal() else 0.0
    return min(max(seconds, 2 * SHORTEST), LONGEST) if seconds else inf
