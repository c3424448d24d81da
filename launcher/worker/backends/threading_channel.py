"""A connection and its requests, as `threading_wsgi` deals with them."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask
from waitress.utilities import Error

from launcher.worker.backends.serving import Patience, access_logger, logger, wants_access_log

if TYPE_CHECKING:
    from launcher.worker.backends.threading_wsgi import ThreadingServer

PROMPT = 0.1
"""Seconds for which a thread is kept free for a new client's first request."""


class Task(WSGITask):  # type: ignore[misc]
    """One request."""

    def service(self) -> None:
        """Answer it."""
        with self.channel.server.owner.requests:
            try:
                super().service()
            finally:
                # Before it counts as answered: the loop must not take the connection for one that was idle so long.
                self.channel.touch()

    def get_environment(self) -> dict[str, Any]:
        """Make the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ["wsgi.multiprocess"] = True
        environ.update(self.channel.environ())
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


class LateError(Error):  # type: ignore[misc]
    """The answer to a request that does not come in."""

    code = 408
    reason = "Request Timeout"


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    task_class = Task
    logger = logger
    has_asked = False
    _touched = _waited = 0.0
    request: Any  # what has come of one

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.accepted = time.monotonic()
        super().__init__(*args, **kwargs)
        self._patience = Patience(self.server.owner.terms.request_timeout)
        if self.server.draining:
            self.hurry()

    def environ(self) -> dict[str, str]:
        """Return what the WSGI environment says of the connection."""
        return {}

    @property
    def last_activity(self) -> float:
        """When something was last received or sent, on the monotonic clock."""
        return self._touched

    @last_activity.setter
    def last_activity(self, _wall_clock: float) -> None:
        self.touch()

    def touch(self) -> None:
        """Something happens."""
        self._touched = time.monotonic()

    @property
    def needs_thread(self) -> bool:
        """Whether a request is under way, or its first one will be in a moment."""
        return bool(self.requests) or self.prompt_until > time.monotonic()

    @property
    def prompt_until(self) -> float:
        """Until when its first request is expected; 0 if that has come."""
        return 0.0 if self.has_asked else self.accepted + PROMPT

    def hurry(self) -> None:
        """Wait no longer for a request than a drain grants."""
        self._patience.hurry(self.server.owner.terms.patience)

    @property
    def due(self) -> float:
        """When it is ended if nothing happens until then, on the monotonic clock."""
        if self.requests or self.total_outbufs_len:
            return inf
        if self.request:
            return self._touched + self._patience.left
        owner: ThreadingServer = self.server.owner
        drained = max(self._touched, owner.drains_since) + owner.terms.patience
        return min(self._touched + owner.terms.keepalive_timeout, drained)

    def expire(self) -> None:
        """End it: it was due."""
        if self.request is None:
            self.handle_close()
            return
        logger.debug("a request of %r did not come in in time", self.addr)
        with self.requests_lock:
            late, self.request = self.request, None
            late.close()
            answer = self.parser_class(self.adj)
            answer.version = late.version
            answer.error = LateError("the request did not come in in time")
            self.requests.append(answer)
        self.server.add_task(self)

    def handle_read(self) -> None:
        """Receive, and note how long that was waited for."""
        self._waited = time.monotonic() - self._touched
        super().handle_read()

    def received(self, data: bytes) -> bool:
        """Take a part of a request, or of several."""
        self._patience.received(len(data), self._waited)
        taken = bool(super().received(data))
        if self.request is None:
            self._patience.over()
        return taken

    def service(self) -> None:
        """Run the application for one request, in a thread of the dispatcher."""
        self.has_asked = True
        try:
            super().service()
        except BaseException:  # noqa: BLE001 - the application's SystemExit, say: its client must not wait for ever
            logger.exception("%r failed", self.requests[0].path if self.requests else "a request")
            self.cancel()
            self.server.pull_trigger()
        if self.server.draining:  # also if the client has gone, when nobody else tells the loop
            self.server.pull_trigger()
