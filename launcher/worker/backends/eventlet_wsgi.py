"""A WSGI server whose stop loses no request.

eventlet.wsgi parses and writes the HTTP; accepting and stopping are ours, because its `server()`
shuts idle connections under the client's next request, drops what is queued on the listener,
accepts clients that it then lets wait, and waits for a request that trickles in for ever.

Guarantees: a client is accepted only when it can be served at once.  `drain()` serves everything
that the kernel had queued when it was called.  A connection that is reused is closed only after a
response that said so, or when nothing came on it for `keepalive_timeout` seconds.  A response is
not torn up by a reset because the client's input was left unread.

Assumptions: no green thread switches between `accept()` and the start of the connection's task, so
an acceptor is never killed with a client in hand.  Other processes accept on the same sockets.

Logs: `launcher.wsgi` has what failed; `launcher.access` a line for each request, if its own level
was set to INFO or lower.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from sys import exception
from typing import TYPE_CHECKING, Any

import eventlet
from eventlet import hubs, patcher, wsgi
from eventlet.corolocal import local

from launcher.supervisor.scoreboard import private_seat
from launcher.worker.backends.eventlet import EventletEvent, EventletTask
from launcher.worker.backends.eventlet_client import Client
from launcher.worker.backends.serving import (
    BACK_OFF,
    CLIENT_GONE,
    Patience,
    access_logger,
    logger,
    wants_access_log,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping
    from socket import socket

    from launcher.supervisor.scoreboard import Seat
    from launcher.worker.backends import Terms

_socket = patcher.original("socket")

CAPACITY = 1000
"""Connections at a time; further clients wait in the kernel's queue, where another worker may take them."""
TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_serving = local()


class AccessLine(str):
    """A formatted line of the access log, told by its type from the tracebacks on the same channel."""

    __slots__ = ()


class AccessFormat(str):
    """The format of the access log."""

    __slots__ = ()

    def __mod__(self, values: Mapping[str, Any]) -> AccessLine:
        """Fill it in; control characters that a client sent are escaped."""
        request = values["request_line"].encode("unicode_escape").decode("ascii")
        return AccessLine(super().__mod__({**values, "request_line": request}))


ACCESS_FORMAT = AccessFormat('%(client_ip)s "%(request_line)s" %(status_code)s %(body_length)s %(wall_seconds).6f')


class Log:
    """What eventlet.wsgi logs to: it has one channel for access lines and for the application's tracebacks."""

    def __init__(self, access: logging.Logger = access_logger, others: logging.Logger = logger) -> None:
        self._access, self._others = access, others

    def info(self, message: str) -> None:
        """Take an access line, or a traceback while its exception is being handled."""
        if isinstance(message, AccessLine):
            self._access.info("%s", message)
        elif _serving.protocol.connection.gone:
            self._others.debug("the client of %r went away", _serving.protocol.requestline)
        elif isinstance(exception(), wsgi.ChunkReadError):
            self._others.debug("the client of %r sent a chunk without a length", _serving.protocol.requestline)
        else:
            self._others.error("%r failed", _serving.protocol.requestline, exc_info=True)

    def error(self, message: str) -> None:
        """Take a complaint about a client's input."""
        self._others.warning("%s", message)

    def debug(self, message: str) -> None:
        """Take a detail."""
        self._others.debug("%s", message)


class Protocol(wsgi.HttpProtocol):  # type: ignore[misc]
    """One connection's HTTP."""

    server_version = "launcher"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # what is no HTTP gets a 400 with a status line, not a bare page
    _close = True
    _undecided = False
    _responding = False

    @property
    def close_connection(self) -> bool:
        """Whether this connection ends after the response.

        While a response's headers are unwritten a drain makes it end; once they are out they are a
        promise that a drain does not break.
        """
        return self._close or (self._undecided and self.server.draining)

    @close_connection.setter
    def close_connection(self, close: bool) -> None:
        self._close = bool(close)
        self._undecided = False

    def handle_one_request(self) -> None:
        """Read a request and answer it."""
        patience = self.connection.patience
        patience.over()
        self._responding = False
        try:
            super().handle_one_request()
        except TimeoutError:
            if patience.begun and not self._responding:
                self.wfile.write(TOO_LATE)
            raise

    def handle_one_response(self) -> None:
        """Run the application for the request that was read."""
        _serving.protocol = self
        self._undecided = self._responding = True
        self.server.seat.request_begins()
        try:
            super().handle_one_response()
        finally:
            self.server.seat.request_ends()

    def get_environ(self) -> dict[str, Any]:
        """Make the WSGI environment, with the protocol that the client speaks."""
        environ: dict[str, Any] = super().get_environ()
        environ["SERVER_PROTOCOL"] = self.request_version
        environ.update(self.connection.environ())
        return environ

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Log what the parser objects to; the standard library would print it."""
        logger.debug(format, *args)

    def finish(self) -> None:
        """Close so that the client gets all of the last response."""
        with suppress(OSError):
            self.wfile.flush()
            unread = self._has_unread_input()
            self.connection.setblocking(True)
            self.connection.end()
            if unread:
                self.connection.linger()
        for file in (self.wfile, self.rfile):
            with suppress(OSError):
                file.close()
        self.connection.close()

    def _has_unread_input(self) -> bool:
        body = getattr(self, "environ", {}).get("eventlet.input")
        if body is not None:
            if body.chunked_input and body.chunk_length != 0:
                return True
            if not body.chunked_input and body.position < body.content_length:
                return True
        self.connection.setblocking(False)
        try:
            return bool(self.rfile.peek(1))
        except OSError:  # it was waited for in vain, or the client is gone
            return False


class Http(wsgi.Server):  # type: ignore[misc]
    """What all connections of a server have in common."""

    def __init__(self, app: Any, listener: socket, keepalive_timeout: float, seat: Seat, **own: Any) -> None:
        usual = {
            "log": Log(),
            "environ": {"wsgi.multiprocess": True},
            "protocol": Protocol,
            "keepalive": keepalive_timeout if keepalive_timeout < inf else True,
            "log_format": ACCESS_FORMAT,
            "log_x_forwarded_for": False,
            "debug": False,
        }
        super().__init__(listener, listener.getsockname(), app, **{**usual, **own})
        self.draining = False
        self.seat = seat
        self.log_output = own.get("log_output", wants_access_log())


class EventletServer:
    """A WSGI server on listening sockets that somebody else has bound and that are its own now.

    Requests are counted in `seat`; `own` are parameters of eventlet's server.  Raises `ValueError` without listeners.
    """

    def __init__(
        self, app: Any, listeners: Iterable[socket], terms: Terms, seat: Seat | None = None, **own: Any
    ) -> None:
        self._listeners = [_adopt(listener) for listener in listeners]
        if not self._listeners:
            raise ValueError("no listeners")
        self._http = Http(app, self._listeners[0], terms.keepalive_timeout, seat or private_seat(), **own)
        self._terms = terms
        self._capacity = eventlet.Semaphore(terms.capacity or CAPACITY)
        self._open: set[Client] = set()
        self._short_of_descriptors = False
        self._done = EventletEvent()
        self._acceptors = [EventletTask(self._accept_clients, listener) for listener in self._listeners]

    def drain(self) -> None:
        """Accept what is queued, close the listeners, tell clients `Connection: close`.  A second call does nothing."""
        if self._http.draining:
            return
        self._http.draining = True
        for acceptor in self._acceptors:
            acceptor.kill()
        for listener in self._listeners:
            self._accept_queued(listener)
            listener.close()
        self._acceptors.clear()
        for client in self._open:
            client.patience.hurry(self._terms.patience)
        if self._open and self._terms.patience < inf:
            EventletTask(self._end_stalled)
        self._check_done()

    @property
    def dead(self) -> bool:
        """Whether `drain` was called and no connection is open."""
        return self._done.is_set()

    def wait(self) -> None:
        """Return when `drain` was called and no connection is open."""
        self._done.wait()

    def _accept_clients(self, listener: socket) -> None:
        """Accept for ever, one client a wake-up: what a busy worker leaves, an idle one takes."""
        while True:
            self._capacity.acquire()
            client = None
            try:
                hubs.trampoline(listener, read=True)
                client = self._take(listener)
            finally:
                if client is None:
                    self._capacity.release()
            if client is not None:
                self._begin(*client)

    def _accept_queued(self, listener: socket) -> None:
        """Accept until the queue is empty, beyond capacity too: nobody else may be left to do it."""
        while (client := self._take(listener)) is not None:
            self._begin(*client)

    def _take(self, listener: socket) -> tuple[socket, Any] | None:
        """Return the next client, or None if none is queued (another worker was faster)."""
        while True:
            try:
                client = listener.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in CLIENT_GONE:
                    self._back_off(error)
            else:
                self._short_of_descriptors = False
                return client

    def _back_off(self, error: OSError) -> None:
        if not self._short_of_descriptors:
            logger.warning("cannot accept: %s; clients wait in the queue until it can", error.strerror)
        self._short_of_descriptors = True
        eventlet.sleep(BACK_OFF)

    def _begin(self, client: socket, address: Any) -> None:
        hubs.notify_opened(client.fileno())
        conversation = self._client(client)
        self._open.add(conversation)
        EventletTask(self._converse, conversation, address)

    def _client(self, client: socket) -> Client:
        patience = Patience(self._terms.request_timeout)
        if self._http.draining:
            patience.hurry(self._terms.patience)
        if self._terms.tls is None or client.family == _socket.AF_UNIX:
            return Client(client, patience)
        from launcher.worker.backends.eventlet_tls import TlsClient

        return TlsClient(client, patience, self._terms.tls)

    def _converse(self, client: Client, address: Any) -> None:
        """Serve one connection from its first request to its end."""
        try:
            if client.shake_hands(address):
                self._http.process_request([address, client, wsgi.STATE_REQUEST])
        except OSError as error:
            if not client.gone:
                raise
            logger.debug("connection of %r lost: %s", address, error)
        finally:
            client.close()
            self._open.remove(client)
            self._capacity.release()  # one too many for a client accepted by drain(), when nobody counts any more
            self._check_done()

    def _end_stalled(self) -> None:
        """End those that wait longer than a drain grants them: they began with what was granted before."""
        while self._open:
            eventlet.sleep(self._terms.patience)
            for client in self._open:
                if client.waits >= self._terms.patience:
                    with suppress(OSError):
                        client.shutdown(_socket.SHUT_RD)  # what it waits for is over

    def _check_done(self) -> None:
        if not self._acceptors and not self._open:
            self._done.set()


def _adopt(listener: socket) -> socket:
    """Take a listener over as an unpatched, non-blocking socket, whatever the caller's socket class."""
    own: socket = _socket.socket(fileno=listener.detach())
    own.setblocking(False)
    if own.family != _socket.AF_UNIX:
        own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    return own
