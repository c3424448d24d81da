"""A WSGI application as a service.

The sockets are bound before any worker exists and shared by all of them, so a worker comes and goes
without a client noticing; what happens to the connections at a stop is the backend's part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError
from launcher.service import quota
from launcher.service.base import Service
from launcher.worker import backends

if TYPE_CHECKING:
    from launcher.worker.backends import Server


class WSGIService(Service):
    """Serves a WSGI callable on the sockets of the option `listen`.

    `keepalive_timeout` are the seconds that a connection may be idle, before its first request too.
    """

    wants_socket = True

    def __init__(self, app: Any, *, keepalive_timeout: float = 5.0) -> None:
        super().__init__()
        self.app = app
        self.keepalive_timeout = keepalive_timeout
        self._server: Server | None = None

    def start(self) -> None:
        """Accept clients from now on.

        Raises `ConfigError` if there is no socket to accept them on.
        """
        if not self.listeners:
            raise ConfigError("listen: not set, but a WSGI service needs an address; for example listen = :8080")
        app = quota.counted(self.app)
        self._server = backends.current().serve(app, self.listeners, keepalive_timeout=self.keepalive_timeout)

    def stop(self, graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
        """Accept what is queued, then nothing more; requests finish.  `graceful` is about `tg` alone."""
        if self._server is not None:
            self._server.drain()
        super().stop(graceful)

    def wait(self) -> None:
        """Return when the service was stopped and all connections are closed."""
        if self._server is not None:
            self._server.wait()
        super().wait()
