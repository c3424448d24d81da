"""What a service is.

The names and the order of the calls are oslo.service's, so that its services move here unchanged:
`start()` once, then `wait()`, which may come back at once; `reset()` on a reload that keeps the
process; `stop()`, then `wait()` again.  No base class is required, only the four methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from launcher.service.threadgroup import ThreadGroup

if TYPE_CHECKING:
    import socket

    from launcher.service.tls import TLS


class ServiceBase(ABC):
    """The four methods of a service, and what the launcher wants to know of it (oslo.service: `ServiceBase`)."""

    wants_socket: bool = False
    """Whether it serves on the sockets of the option `listen`."""
    listeners: tuple[socket.socket, ...] = ()
    """Those sockets, bound and listening; set before `start()`.  The service closes them when it stops."""
    tls: TLS | None = None
    """What the options `tls_...` say is to be spoken on them, but on Unix sockets; set with them."""
    backdoor_port: int | None = None
    """Where a debugging shell listens; set before `start()` (oslo.service: the same)."""
    announces_ready: bool = False
    """Whether it calls `launcher.ready()` itself; otherwise it is ready when `start()` has returned."""

    @abstractmethod
    def start(self) -> None:
        """Begin, and return.  An exception ends the worker."""

    @abstractmethod
    def stop(self) -> None:
        """Take on nothing new, and finish or end what is under way."""

    @abstractmethod
    def wait(self) -> None:
        """Return when nothing is under way any more."""

    @abstractmethod
    def reset(self) -> None:
        """Take up a changed configuration, in place."""


class Service(ServiceBase):
    """A service that runs threads and timers in its group `tg` (oslo.service: `Service`).

    Methods that `launcher.periodic` marks are called from when `start()` has returned until the stop.

    `threads` is the number of threads at a time; `tg.add_thread` waits when there are so many.
    """

    def __init__(self, threads: int = 1000) -> None:
        self.tg = ThreadGroup(threads)

    def start(self) -> None:
        """Do nothing; a subclass adds its threads and timers here."""

    def reset(self) -> None:
        """Do nothing."""

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
        """Stop the timers, then let the threads and a tick under way finish; kill them unless `graceful`.

        oslo.service kills by default.  Here a stop finishes what is in flight, within the option
        `graceful_shutdown_timeout`; a subclass whose thread runs for ever has to end it here.
        """
        self.tg.stop(graceful)

    def wait(self) -> None:
        """Return when no thread and no timer runs any more."""
        self.tg.wait()
