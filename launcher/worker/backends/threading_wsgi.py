"""A WSGI server on native threads whose stop loses no request: waitress, with an accept loop and an end of our own.

waitress reads, parses and writes the HTTP in one thread and runs the application in others.  Ours are the
loop, which sleeps until something is due instead of looking once a second, when a client is accepted, and the drain.

Guarantees: a client is accepted only when a thread is free for it.  `drain()` serves everything that the kernel had
queued when it was called.  A connection that is reused is closed only after a response that said so, or when
nothing came on it for `keepalive_timeout` seconds.  An idle server with no connection makes no system call.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from launcher.worker.backends.serving import BACK_OFF, CLIENT_GONE, access_logger, logger, wants_access_log

if TYPE_CHECKING:
    from collections.abc import Iterable

CAPACITY = 16
"""Requests at a time; further clients wait in the kernel's queue, where another worker may take them."""
BACKLOG = 2048  # waitress calls listen(2) once more; as supervisor/sockets.py
NEVER_LIMITED = 1_000_000  # waitress counts connections as well; ours is the count of threads


class Task(WSGITask):  # type: ignore[misc]
    """One request."""

    def get_environment(self) -> dict[str, Any]:
        """Make the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ["wsgi.multiprocess"] = True
        return environ

    def build_response_header(self) -> bytes:
        """Say `Connection: close` in a response whose headers are unwritten when the server drains."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        header: bytes = super().build_response_header()
        return header

    def finish(self) -> None:
        """Write the end, and a line in the access log if that was asked for."""
        super().finish()
        if wants_access_log():
            request, took = self.request, time.time() - self.start_time
            line = f"{request.command} {request.path} HTTP/{self.version}".encode("unicode_escape").decode("ascii")
            values = self.channel.addr[0] or "-", line, self.status.split()[0], self.content_bytes_written, took
            access_logger.info('%s "%s" %s %s %.6f', *values)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    task_class = Task
    logger = logger
    has_asked = False

    @property
    def needs_thread(self) -> bool:
        """Whether a request is under way, or its first one is awaited."""
        return bool(self.requests) or not self.has_asked

    @property
    def is_idle(self) -> bool:
        """Whether nothing was received of a request that is not answered yet."""
        return not self.requests and self.request is None

    def service(self) -> None:
        """Run the application for one request, in a thread of the dispatcher."""
        self.has_asked = True
        try:
            super().service()
        except BaseException:  # noqa: BLE001 - the application's SystemExit, say: its client must not wait for ever
            logger.exception("%r failed", self.requests[0].path if self.requests else "a request")
            self.cancel()
            self.server.pull_trigger()


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads that run the application."""

    logger = logger
    queue_logger = logging.getLogger("launcher.wsgi.queue")


class Acceptor:
    """A listening socket of the server; mixed into waitress's two kinds, which differ in what an address is."""

    channel_class = Channel
    logger = logger
    draining = False
    owner: ThreadingServer
    resume_at = 0.0  # on the monotonic clock: no attempt before, for want of descriptors

    def readable(self) -> bool:
        """Whether to take clients now."""
        return not self.draining and self.owner.has_free_thread() and time.monotonic() >= self.resume_at

    def handle_accept(self) -> None:
        """Take a client, one a turn of the loop: what a busy worker leaves, an idle one takes."""
        self.take()

    def take(self) -> bool:
        """Take a client; return whether there was one."""
        try:
            client, address = self.socket.accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in CLIENT_GONE:
                return True
            if not self.resume_at:
                logger.warning("cannot accept: %s; clients wait in the queue until it can", error.strerror)
            self.resume_at = time.monotonic() + BACK_OFF
            return False
        self.resume_at = 0.0
        client.setblocking(False)
        self.set_socket_options(client)  # type: ignore[attr-defined]
        self.channel_class(self, client, self.fix_addr(address), self.adj, map=self._map)  # type: ignore[attr-defined]
        return True

    def stop_accepting(self) -> None:
        """Take everybody who is queued, beyond the number of threads too, then close the socket."""
        self.draining = True
        while self.take():
            pass
        self.del_channel()  # type: ignore[attr-defined]
        self.socket.close()  # type: ignore[attr-defined]


class TcpAcceptor(Acceptor, TcpWSGIServer):  # type: ignore[misc]
    """A TCP socket."""


class UnixAcceptor(Acceptor, UnixWSGIServer):  # type: ignore[misc]
    """A Unix socket."""


class ThreadingServer:
    """A WSGI server on listening sockets that somebody else has bound and that are its own now.

    `keepalive_timeout` are the seconds that a connection may be idle, before its first request too.
    `capacity` is the number of requests at a time, each in a thread of its own.
    Raises `ValueError` without listeners, or for a timeout that is not positive.
    """

    def __init__(
        self, app: Any, listeners: Iterable[socket.socket], *, keepalive_timeout: float, capacity: int = CAPACITY
    ) -> None:
        if keepalive_timeout <= 0:
            raise ValueError(f"keepalive_timeout = {keepalive_timeout}: must be positive")
        self._map: dict[int, Any] = {}
        self._keepalive, self._capacity = keepalive_timeout, capacity
        self._dispatcher = Dispatcher()
        self._dispatcher.set_thread_count(capacity)
        settings = Adjustments(ident="launcher", backlog=BACKLOG, connection_limit=NEVER_LIMITED)
        self._acceptors = [self._acceptor(app, listener, settings) for listener in listeners]
        if not self._acceptors:
            raise ValueError("no listeners")
        self._drained = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._loop, name="launcher-wsgi", daemon=True).start()

    def drain(self) -> None:
        """Accept what is queued, close the listeners, tell clients `Connection: close`.  A second call does nothing."""
        if not self._drained.is_set():
            self._acceptors[0].trigger.pull_trigger(self._stop_accepting)
            self._drained.wait()

    def wait(self) -> None:
        """Return when `drain` was called and no connection is open."""
        self._done.wait()

    def has_free_thread(self) -> bool:
        """Whether one more client could be served at once."""
        return sum(channel.needs_thread for channel in self._channels()) < self._capacity

    def _acceptor(self, app: Any, listener: socket.socket, settings: Any) -> Any:
        own = socket.socket(fileno=listener.detach())
        kind = UnixAcceptor if own.family == socket.AF_UNIX else TcpAcceptor
        about = own.family, own.type, own.proto, own.getsockname()
        acceptor = kind(
            app, self._map, _sock=own, dispatcher=self._dispatcher, adj=settings, sockinfo=about, bind_socket=False
        )
        acceptor.owner = self
        return acceptor

    # In the loop's thread

    def _loop(self) -> None:
        while not self._drained.is_set() or self._channels():
            wasyncore.poll2(self._patience(), self._map)
            self._end_idle()
        self._dispatcher.shutdown()
        for acceptor in self._acceptors:
            acceptor.trigger.close()
        self._done.set()

    def _channels(self) -> list[Channel]:
        return [channel for acceptor in self._acceptors for channel in list(acceptor.active_channels.values())]

    def _patience(self) -> float | None:
        """Seconds until something is due even if nothing happens."""
        now, clock = time.time(), time.monotonic()
        due = [channel.last_activity + self._keepalive - now for channel in self._channels() if channel.is_idle]
        due += [each.resume_at - clock for each in self._acceptors if each.resume_at > clock]
        return max(min(due), 0.001) if due else None

    def _end_idle(self) -> None:
        oldest = time.time() - self._keepalive
        for channel in self._channels():
            if channel.is_idle and channel.last_activity <= oldest:
                channel.handle_close()

    def _stop_accepting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.stop_accepting()
        self._drained.set()
