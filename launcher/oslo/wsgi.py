"""oslo.service's WSGI server and what it has beside it: names, signatures and exceptions are its own.

What serves is our own server on green threads, so a stop accepts what is queued and loses no request, a request that
trickles in ends, and a slow TLS handshake keeps nobody waiting.
"""

from __future__ import annotations

import copy
import logging
import os
import socket
from math import inf
from typing import TYPE_CHECKING, Any

import eventlet.wsgi
import routes.middleware
import webob.dec
import webob.exc
from paste import deploy

from launcher.oslo import _options, backend, sslutils
from launcher.oslo.backend.exceptions import UnsupportedBackendError
from launcher.service import quota
from launcher.service.base import ServiceBase
from launcher.service.services import is_ending
from launcher.supervisor.sockets import companions
from launcher.worker import backends
from launcher.worker.backends import Terms
from launcher.worker.backends.eventlet_wsgi import AccessFormat, Log, Protocol

if TYPE_CHECKING:
    import ssl

    from oslo_config import cfg

    from launcher.worker.backends import Server as Serving

LOG = logging.getLogger(__name__)

LAST_REQUEST = 5.0
"""Seconds that an idle connection still has for one when the server stops; oslo.service closes it at once."""
HANDSHAKE_TIMEOUT = 5.0


def _check_backend_compatibility() -> None:
    """Raise `UnsupportedBackendError` on native threads."""
    if backend.get_backend_type() == backend.BackendType.THREADING:
        raise UnsupportedBackendError(
            "oslo.service.wsgi.Server does not work on the threading backend; launcher.WSGIService does, "
            "and so do standard WSGI servers"
        )


def list_opts() -> list[tuple[None, list[cfg.Opt]]]:
    """Return the options for oslo-config-generator."""
    return [(None, copy.deepcopy(_options.wsgi_opts))]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options; again is no harm."""
    conf.register_opts(_options.wsgi_opts)


class InvalidInput(Exception):
    """An argument makes no sense."""


class Server(ServiceBase):
    """Serves a WSGI application on a socket that it binds when it is made, and keeps through a restart.

    `pool_size` is the number of connections at a time, `max_url_len` that of characters in the first line of a request.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        name: str,
        app: Any,
        host: str = "0.0.0.0",  # noqa: S104
        port: int = 0,
        pool_size: int | None = None,
        protocol: type[eventlet.wsgi.HttpProtocol] = eventlet.wsgi.HttpProtocol,
        backlog: int = 128,
        use_ssl: bool = False,
        max_url_len: int | None = None,
        logger_name: str = "eventlet.wsgi.server",
        socket_family: int | None = None,
        socket_file: str | None = None,
        socket_mode: int | None = None,
    ) -> None:
        _check_backend_compatibility()
        register_opts(conf)
        self.conf, self.name, self.app = conf, name, app
        self.default_pool_size: int = conf.wsgi_default_pool_size
        self.pool_size = pool_size or self.default_pool_size
        self.client_socket_timeout: float | None = conf.client_socket_timeout or None
        self.context: ssl.SSLContext
        self.handshake_timeout = HANDSHAKE_TIMEOUT
        self._protocol, self._max_url_len = protocol, max_url_len
        self._logger = logging.getLogger(logger_name)
        self._use_ssl = use_ssl
        self._server: Serving | None = None
        eventlet.wsgi.MAX_HEADER_LINE = conf.max_header_line
        if backlog < 1:
            raise InvalidInput("The backlog must be more than 0")
        if socket_family == socket.AF_UNIX:
            self.socket = _bind_path(socket_file or "", socket_mode, backlog)
            self.host, self.port = socket_file or "", 0
        elif socket_family in {None, 0, socket.AF_INET, socket.AF_INET6}:
            self.socket = _bind(host, port, backlog, conf.tcp_keepidle)
            self.host, self.port = self.socket.getsockname()[:2]
        else:
            raise ValueError(f"Unsupported socket family: {socket_family}")
        companions.append(self.socket)
        LOG.info("%s listening on %s", name, self.socket.getsockname())
        if use_ssl:
            sslutils.is_enabled(conf)

    def start(self) -> None:
        """Accept clients from now on."""
        if self._use_ssl:
            self.context = sslutils.context(self.conf)
        self.dup_socket = self.socket.dup()
        self._server = backends.current().serve(
            quota.counted(self.app), [self.dup_socket], self._terms(), **self._http()
        )

    def reset(self) -> None:
        """Read the certificate again, for connections to come; if it cannot be taken, keep the one that there is."""
        if self._use_ssl:
            try:
                self.context = sslutils.context(self.conf)
            except (OSError, RuntimeError) as error:
                LOG.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the line says it all

    def stop(self) -> None:
        """Accept what is queued, then nothing more; requests finish.

        When the process ends the socket is closed, so that nobody queues where nobody will accept.
        """
        LOG.info("Stopping WSGI server.")
        if is_ending():
            self.socket.close()
        if self._server is not None:
            self._server.drain()

    def wait(self) -> None:
        """Return when it was stopped and all connections are closed."""
        if self._server is not None:
            self._server.wait()

    def _terms(self) -> Terms:
        patience = self.client_socket_timeout or inf
        return Terms(
            keepalive_timeout=patience,
            request_timeout=patience,
            tls=self if self._use_ssl else None,
            capacity=self.pool_size,
            drain_timeout=LAST_REQUEST,
        )

    def _http(self) -> dict[str, Any]:
        own = self._protocol
        return {
            "protocol": Protocol if issubclass(Protocol, own) else type(own.__name__, (Protocol, own), {}),
            "log": Log(self._logger, self._logger),
            "log_output": True,
            "log_format": AccessFormat(self.conf.wsgi_log_format),
            "debug": self.conf.wsgi_server_debug,
            "socket_timeout": self.client_socket_timeout,
            **({} if self.conf.wsgi_keep_alive else {"keepalive": False}),
            **({"url_length_limit": self._max_url_len} if self._max_url_len else {}),
        }


def _bind(host: str, port: int, backlog: int, keepidle: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)[0]
    except OSError:  # bind() will say what is wrong with it
        family, address = socket.AF_INET, (host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepidle)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        LOG.error("Could not bind to %s:%s", host, port)  # noqa: TRY400 - it is raised
        listener.close()
        raise
    return listener


def _bind_path(path: str, mode: int | None, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        if mode is not None:
            os.chmod(path, mode)  # noqa: PTH101
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


class Request(webob.Request):  # type: ignore[misc]
    """A request."""


class Router:
    """Passes each request to the `controller` of the route that `mapper` finds for it, or answers 404."""

    def __init__(self, mapper: routes.Mapper) -> None:
        self.map = mapper
        self._router = routes.middleware.RoutesMiddleware(self._dispatch, mapper)

    @webob.dec.wsgify(RequestClass=Request)  # type: ignore[untyped-decorator]
    def __call__(self, req: Request) -> Any:  # noqa: ARG002 - WebOb gives it
        """Answer a request."""
        return self._router

    @staticmethod
    @webob.dec.wsgify(RequestClass=Request)  # type: ignore[untyped-decorator]
    def _dispatch(req: Request) -> Any:
        match = req.environ["wsgiorg.routing_args"][1]
        return match["controller"] if match else webob.exc.HTTPNotFound()


class ConfigNotFound(Exception):
    """There is no such paste.deploy file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"Could not find config at {path}")


class PasteAppNotFound(Exception):
    """There is no such application in the file."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"Could not load paste app '{name}' from {path}")


class Loader:
    """Loads applications from the paste.deploy file that the option `api_paste_config` names.

    Raises `ConfigNotFound`.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        register_opts(conf)
        named = conf.api_paste_config
        self.config_path: str | None
        if os.path.isabs(named):  # noqa: PTH117
            self.config_path = named if os.path.exists(named) else None  # noqa: PTH110
        else:
            self.config_path = conf.find_file(named)
        if not self.config_path:
            raise ConfigNotFound(path=named)

    def load_app(self, name: str) -> Any:
        """Return an application.  Raises `PasteAppNotFound`."""
        try:
            return deploy.loadapp(f"config:{self.config_path}", name=name)
        except LookupError as error:
            LOG.exception("Couldn't lookup app: %s", name)
            raise PasteAppNotFound(name, str(self.config_path)) from error
