"""A WSGI application as a service.

The sockets are bound before any worker exists and shared by all of them, so a worker comes and goes
without a client noticing; what happens to the connections at a stop is the backend's part.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError
from launcher.service import quota
from launcher.service.base import Service
from launcher.worker import backends
from launcher.worker.backends import Terms

if TYPE_CHECKING:
    from launcher.service.tls import TLS
    from launcher.worker.backends import Server


class WSGIService(Service):
    """Serves a WSGI callable on the sockets of the option `listen`.

    `keepalive_timeout` are the seconds that a connection may be idle, before its first request too; `request_timeout`
    those for which a request may be waited for from its first byte to its last, and one more for every 500 bytes of
    it; 0 is for ever.  `tls` takes the place of what the options `tls_...` say.
    """

    wants_socket = True

    def __init__(
        self, app: Any, *, keepalive_timeout: float = 5.0, request_timeout: float = 30.0, tls: TLS | None = None
    ) -> None:
        super().__init__()
        self.app = app
        self.keepalive_timeout = keepalive_timeout
        self.request_timeout = request_timeout
        self._tls = tls
        self._server: Server | None = None

    def start(self) -> None:
        """Accept clients from now on.

        Raises `ConfigError` if there is no socket to accept them on.
        """
        if not self.listeners:
            raise ConfigError("listen: not set, but a WSGI service needs an address; for example listen = :8080")
        terms = Terms(self.keepalive_timeout, self.request_timeout or inf, self._speaks)
        self._server = backends.current().serve(quota.counted(self.app), self.listeners, terms)

    def reset(self) -> None:
        """Read the certificate again, for connections to come; if it cannot be taken, keep the one that there is."""
        if self._speaks is not None:
            self._speaks.renew()
        super().reset()

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

    @property
    def _speaks(self) -> TLS | None:
        return self._tls or self.tls
