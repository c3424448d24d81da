"""Native threads, with nothing patched: the backend for code that eventlet has no place in.

A task is a daemon thread; it cannot be killed, so what is told to stop has to look, as `ThreadGroup`'s timers do.

Guarantees: what a task raises is logged and ends that task alone; a signal is obeyed while every other thread of the
application is busy, unless one of them holds the interpreter lock.

A worker is at work while it answers a request.  Threads may wait for as long as they like, so none of that is taken
for a hang: the supervisor sees only a worker that is stopped, or that does not get ready.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
import threading
import time
from math import ceil
from typing import TYPE_CHECKING, Any

from launcher.supervisor.scoreboard import private_seat
from launcher.worker.naming import name_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from types import FrameType

    from launcher.supervisor.scoreboard import Seat
    from launcher.worker.backends import Backend, Event, Server, Task, Terms

logger = logging.getLogger("launcher.service")


class ThreadingTask:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        name = name_of(call)
        self._thread = threading.Thread(target=_guard, args=(call, args, kwargs), name=name, daemon=True)
        self._thread.start()

    @property
    def ident(self) -> int:
        """What `threading.get_ident()` says inside the call."""
        return self._thread.ident or 0

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the call has ended, however it ended, or after `timeout` seconds; at once for the call itself."""
        if self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Let the call run out: a thread cannot be ended from outside."""


class ThreadingBackend:
    """What a service needs of native threads; see `launcher.worker.backends.Backend`."""

    name = "threading"
    kills: tuple[type[BaseException], ...] = ()

    def __init__(self) -> None:
        self._seat = private_seat()

    def patch(self) -> None:
        """Import what every forked worker can then share; nothing is patched."""
        import launcher.worker.backends.threading_wsgi  # noqa: F401

    def complete(self) -> None:
        """Do nothing: no import was put off."""

    def after_fork(self) -> None:
        """Do nothing: threads stay behind at a fork, and no other state is ours."""

    def spawn(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> Task:
        """Run a call beside the caller.  An exception in it is logged with its traceback."""
        return ThreadingTask(call, *args, **kwargs)

    def guard(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Run a call here and now.  What it raises is logged with its traceback and goes no further."""
        _guard(call, args, kwargs)

    def event(self) -> Event:
        """Make a new event that is not set."""
        return threading.Event()

    def sleep(self, seconds: float) -> None:
        """Suspend the calling thread."""
        time.sleep(seconds)

    def wait_readable(self, fd: int, timeout: float | None = None) -> None:
        """Suspend the calling thread until `fd` is readable or at its end."""
        _wait_for(fd, select.POLLIN, timeout)

    def wait_writable(self, fd: int) -> None:
        """Suspend the calling thread until `fd` takes something, or nobody is at its other end."""
        _wait_for(fd, select.POLLOUT)

    def nudge(self) -> None:
        """Interrupt what the main thread waits in: else a handler would run when that is over."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)

    def abandon_tasks(self) -> None:
        """Do nothing: no thread is in the child."""

    def leave_thread(self) -> None:
        """Do nothing: nothing was made for it."""

    def requests_in_flight(self) -> int:
        """Return how many HTTP requests this process is answering."""
        return self._seat.in_flight

    def beat(self, seat: Seat) -> None:
        """Write the requests that are served in `seat` from now on, and whether there are any."""
        self._seat = seat
        seat.shares()
        seat.sleeps()

    def stacks(self) -> list[tuple[str, FrameType]]:
        """Name every thread, each with the frame it is in."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        frames = sys._current_frames().items()  # noqa: SLF001 - its documented name
        return [(f"thread {names.get(ident, ident)}", frame) for ident, frame in frames]

    def serve(self, app: Any, listeners: Iterable[socket.socket], terms: Terms, **own: Any) -> Server:
        """Serve a WSGI application on listeners that are taken over; see `threading_wsgi`."""
        from launcher.worker.backends.threading_wsgi import ThreadingServer

        return ThreadingServer(app, listeners, terms, self._seat, **own)


def _wait_for(fd: int, event: int, timeout: float | None = None) -> None:
    poll = select.poll()
    poll.register(fd, event)
    poll.poll(None if timeout is None else ceil(timeout * 1000))


def _guard(call: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a call; log whatever it raises."""
    try:
        call(*args, **kwargs)
    except BaseException:  # a border: SystemExit in a thread would be silent
        logger.exception("%s failed", name_of(call))


BACKEND: Backend = ThreadingBackend()
