"""A WSGI server on native threads whose stop loses no request: waitress, with an accept loop and an end of our own.

waitress reads, parses and writes the HTTP in one thread and runs the application in others.  Ours are the
loop, which sleeps until something is due instead of looking once a second, when a client is accepted, and the drain.

Guarantees: a client is accepted only when a thread is free for it; who asks nothing takes none.  `drain()` serves
everything that the kernel had queued when it was called.  A connection that is reused is closed only after a response
that said so, or when nothing came on it for `keepalive_timeout` seconds.  A request whose client has gone away is
finished all the same; one that does not come in within `request_timeout` is answered with 408.  An idle server with
no connection makes no system call.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from math import inf
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher

from launcher.supervisor.scoreboard import private_seat
from launcher.worker.backends.serving import BACK_OFF, CLIENT_GONE, logger
from launcher.worker.backends.threading_channel import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.scoreboard import Seat
    from launcher.worker.backends import Terms

CAPACITY = 16
"""Requests at a time; further clients wait in the kernel's queue, where another worker may take them."""
CONNECTIONS = 1000
"""At a time, most of them idle."""
BACKLOG = 2048  # waitress calls listen(2) once more; as supervisor/sockets.py
NEVER_LIMITED = 1_000_000  # waitress counts connections as well; ours is the count of threads

queue_logger = logging.getLogger("launcher.wsgi.queue")
if queue_logger.level == logging.NOTSET:  # requests on reused connections may have to wait, which is no news
    queue_logger.setLevel(logging.ERROR)


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """The threads that run the application."""

    logger = logger
    queue_logger = queue_logger


class Requests:
    """Those that are being answered, for `with` around each; written in a seat, one thread at a time."""

    def __init__(self, seat: Seat) -> None:
        self.count = 0
        self._seat = seat
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Begin one."""
        with self._lock:
            if not self.count:
                self._seat.works()
            self.count += 1
            self._seat.request_begins()

    def __exit__(self, *_: object) -> None:
        """End one."""
        with self._lock:
            self.count -= 1
            self._seat.request_ends()
            if not self.count:
                self._seat.sleeps()


class Acceptor:
    """A listening socket of the server; mixed into waitress's two kinds, which differ in what an address is."""

    channel_class = Channel
    logger = logger
    closed = False
    owner: ThreadingServer
    resume_at = 0.0  # on the monotonic clock: no attempt before, for want of descriptors

    @property
    def draining(self) -> bool:
        """Whether responses say `Connection: close` from now on."""
        return self.owner.draining

    def readable(self) -> bool:
        """Whether to take clients now."""
        return not self.draining and self.owner.has_free_thread() and time.monotonic() >= self.resume_at

    def handle_accept(self) -> None:
        """Take a client, one a turn of the loop: what a busy worker leaves, an idle one takes."""
        self.take()

    def take(self) -> bool:
        """Take a client; return whether there was one.  With no descriptor left for it, `resume_at` is set."""
        try:
            client, address = self.socket.accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            self.resume_at = 0.0  # whoever was waited for has gone
            return False
        except OSError as error:
            if error.errno in CLIENT_GONE:
                return True
            if not self.resume_at:
                logger.warning("cannot accept: %s; clients wait in the queue until it can", error.strerror)
            self.resume_at = time.monotonic() + BACK_OFF
            return False
        self.resume_at = 0.0
        self._begin(client, address)
        return True

    def _begin(self, client: socket.socket, address: Any) -> None:
        try:
            client.setblocking(False)
            self.set_socket_options(client)  # type: ignore[attr-defined]
            self.channel_class(self, client, self.fix_addr(address), self.adj, map=self._map)  # type: ignore[attr-defined]
        except OSError as error:  # waitress would close the listening socket over it
            logger.debug("connection of %r lost: %s", address, error)
            client.close()

    def stop_accepting(self) -> None:
        """Take everybody who is queued, beyond the number of threads too; then close the socket.

        Where the system lacks descriptors that takes several calls.
        """
        if self.closed or time.monotonic() < self.resume_at:
            return
        while self.take():
            pass
        if not self.resume_at:
            self.closed = True
            self.del_channel()  # type: ignore[attr-defined]
            self.socket.close()  # type: ignore[attr-defined]


class TcpAcceptor(Acceptor, TcpWSGIServer):  # type: ignore[misc]
    """A TCP socket."""


class UnixAcceptor(Acceptor, UnixWSGIServer):  # type: ignore[misc]
    """A Unix socket."""


class ThreadingServer:
    """A WSGI server on listening sockets that somebody else has bound and that are its own now.

    Each request has a thread of its own, and is counted in `seat`.  Raises `ValueError` without listeners.
    """

    def __init__(self, app: Any, listeners: Iterable[socket.socket], terms: Terms, seat: Seat | None = None) -> None:
        self.requests = Requests(seat or private_seat())
        self.draining = False
        self.drains_since = inf
        self._map: dict[int, Any] = {}
        self.terms = terms
        self._capacity = terms.capacity or CAPACITY
        self._dispatcher = Dispatcher()
        self._dispatcher.set_thread_count(self._capacity)
        settings = Adjustments(ident="launcher", backlog=BACKLOG, connection_limit=NEVER_LIMITED)
        self._acceptors = [self._acceptor(app, listener, settings) for listener in listeners]
        if not self._acceptors:
            raise ValueError("no listeners")
        self._drained = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._loop, name="launcher-wsgi", daemon=True).start()

    def drain(self) -> None:
        """Accept what is queued, close the listeners, tell clients `Connection: close`.  A second call does nothing."""
        self.draining = True
        self.drains_since = min(self.drains_since, time.monotonic())
        if not self._drained.is_set():
            self._acceptors[0].pull_trigger()
            self._drained.wait()

    def wait(self) -> None:
        """Return when `drain` was called and no connection is open."""
        self._done.wait()

    def has_free_thread(self) -> bool:
        """Whether one more client could be served at once."""
        channels = self._channels()
        clients_gone = max(self.requests.count - sum(bool(channel.requests) for channel in channels), 0)
        needed = sum(channel.needs_thread for channel in channels) + clients_gone
        return needed < self._capacity and len(channels) < CONNECTIONS

    def _acceptor(self, app: Any, listener: socket.socket, settings: Any) -> Any:
        own = socket.socket(fileno=listener.detach())
        kind = UnixAcceptor if own.family == socket.AF_UNIX else TcpAcceptor
        about = own.family, own.type, own.proto, own.getsockname()
        acceptor = kind(
            app, self._map, _sock=own, dispatcher=self._dispatcher, adj=settings, sockinfo=about, bind_socket=False
        )
        acceptor.owner = self
        if self.terms.tls is not None and kind is TcpAcceptor:
            from launcher.worker.backends.threading_tls import TlsChannel

            acceptor.channel_class = TlsChannel
        return acceptor

    # In the loop's thread

    def _loop(self) -> None:
        while not self._drained.is_set() or self._channels() or self.requests.count:
            wasyncore.poll2(self._patience(), self._map)
            self._end_overdue()
            if self.draining and not self._drained.is_set():
                self._stop_accepting()
        self._dispatcher.shutdown()
        for acceptor in self._acceptors:
            acceptor.trigger.close()
        self._done.set()

    def _channels(self) -> list[Channel]:
        return [channel for acceptor in self._acceptors for channel in list(acceptor.active_channels.values())]

    def _patience(self) -> float | None:
        """Seconds until something is due even if nothing happens."""
        now = time.monotonic()
        due = [channel.due - now for channel in self._channels()]
        due += [channel.prompt_until - now for channel in self._channels() if channel.prompt_until > now]
        # In a drain also a time that is over by now: it may have been a moment ahead when it was looked at last.
        due += [each.resume_at - now for each in self._acceptors if each.resume_at > (0 if self.draining else now)]
        first = min(due, default=inf)
        return max(first, 0.001) if first < inf else None

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for channel in self._channels():
            if channel.due <= now:
                channel.expire()

    def _stop_accepting(self) -> None:
        for channel in self._channels():
            channel.hurry()
        for acceptor in self._acceptors:
            acceptor.stop_accepting()
        if all(acceptor.closed for acceptor in self._acceptors):
            self._drained.set()
