"""The concurrency backends, each behind one small protocol.

A process uses one backend for its life.  `service/` is written against this protocol only, so the
same service runs on every backend; a backend's own library is imported when it is selected, never
before.  A further one is a module here and an entry in `KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from launcher.errors import ConfigError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterable
    from types import FrameType

    from launcher.supervisor.scoreboard import Seat

DEFAULT = "eventlet"


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be said of a backend before its library is imported."""

    summary: str
    """What a task is on it, for the help of the option."""
    has_threads: bool
    """Whether its workers have more than one native thread, so that a copy of one would lack the others."""
    notice: str = ""
    """What who chooses it should know."""


KINDS = {
    "eventlet": Kind(
        "green threads, the standard library patched for them",
        has_threads=False,
        notice="Note: eventlet is in maintenance mode. It gets fixes, also for new versions of Python, but its "
        "maintainers advise against new use and mean to retire it; what is written against launcher.service alone "
        "needs no change then.",
    ),
    "threading": Kind("native threads, nothing patched; an HTTP server by waitress", has_threads=True),
}
"""The backends by the names of their modules here."""


class Task(Protocol):
    """A running call.  Asked to wait for itself or to kill itself, it returns at once."""

    @property
    def ident(self) -> int:
        """What `threading.get_ident()` says inside the call."""

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the call has ended, however it ended, or after `timeout` seconds, which is False."""

    def kill(self) -> None:
        """End the call now where the backend can; else let it run out."""


class Event(Protocol):
    """A flag that tasks wait for.  Once set it stays set."""

    def set(self) -> None:
        """Wake all who wait, now and later."""

    def is_set(self) -> bool:
        """Whether `set` was called."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most `timeout` seconds; return whether it is set."""


class Tls(Protocol):
    """What a server speaks TLS with.  Both may change at any time, and hold for later connections then."""

    context: ssl.SSLContext
    handshake_timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a server grants its clients; durations are seconds.  Raises `ValueError` for one that is not positive."""

    keepalive_timeout: float
    """A connection may be idle for so long, before its first request too."""
    request_timeout: float = inf
    """A request may be waited for so long, from its first byte to its last; see `serving.Patience`."""
    tls: Tls | None = None
    """With it that is spoken on all but Unix sockets."""
    drain_timeout: float | None = None
    """Once the server drains, nothing may come on a connection for no longer, be it idle or amid a request.

    None is `keepalive_timeout`.
    """
    capacity: int | None = None
    """Clients at a time, the backend's own number if None: connections on eventlet, requests on threading."""

    def __post_init__(self) -> None:
        for name in ("keepalive_timeout", "request_timeout", "drain_timeout"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise ValueError(f"{name} = {seconds}: must be positive")

    @property
    def patience(self) -> float:
        """What `drain_timeout` comes to."""
        return self.keepalive_timeout if self.drain_timeout is None else self.drain_timeout


class Server(Protocol):
    """A WSGI server on listening sockets that somebody else has bound and that are its own now."""

    def drain(self) -> None:
        """Accept what is queued, close the listeners, tell clients `Connection: close`."""

    def wait(self) -> None:
        """Return when `drain` was called and no connection is open."""


class Backend(Protocol):
    """What a service needs of the concurrency library below it."""

    name: str
    kills: tuple[type[BaseException], ...]
    """What is raised in a task that is killed; a border that catches everything else lets these pass."""

    def patch(self) -> None:
        """Prepare the process before the application is imported."""

    def complete(self) -> None:
        """Import what was put off to start quickly: an application that speaks to others has use for it."""

    def after_fork(self) -> None:
        """Make the library usable in a forked child.  Call it first, and where the program's main code runs."""

    def spawn(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> Task:
        """Run a call beside the caller.  An exception in it is logged with its traceback."""

    def guard(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Run a call here and now.  What it raises is logged with its traceback and goes no further; a kill does."""

    def event(self) -> Event:
        """Make a new event that is not set."""

    def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""

    def wait_readable(self, fd: int, timeout: float | None = None) -> None:
        """Suspend the calling task until `fd` is readable or at its end, at most `timeout` seconds.

        Wakes by the descriptor; without a timeout there is no timer.
        """

    def wait_writable(self, fd: int) -> None:
        """Suspend the calling task until `fd` takes something, or nobody is at its other end.  No timer wakes it."""

    def nudge(self) -> None:
        """Have the main thread run the handlers of signals that arrived: the kernel may have woken another for them."""

    def abandon_tasks(self) -> None:
        """In a forked child that goes on as something else: keep all tasks begun before as they are, never to be run.

        `after_fork` is to be called then.
        """

    def leave_thread(self) -> None:
        """At the end of a native thread that has waited for tasks: let go of what was made for it."""

    def requests_in_flight(self) -> int:
        """Return how many HTTP requests this process is answering."""

    def beat(self, seat: Seat) -> None:
        """Write in `seat` from now on whether this process works or waits for work, and the requests it serves.

        No timer wakes the process for it.
        """

    def stacks(self) -> Iterable[tuple[str, FrameType]]:
        """Name every thread and every task of this process, each with the frame it is in."""

    def serve(self, app: Any, listeners: Iterable[socket.socket], terms: Terms, **own: Any) -> Server:
        """Serve a WSGI application until drained; `own` is what this backend alone knows.

        The listeners are taken over: the caller's objects are closed when this returns.
        """


_selected: Backend | None = None


def select(name: str) -> Backend:
    """Choose this process's backend.

    Raises `ConfigError` if the name is unknown or another backend is in use already.
    """
    global _selected  # noqa: PLW0603 - one backend a process is the rule this module keeps
    if name not in KINDS:
        raise ConfigError(f"backend = {name}: unknown backend; use one of: {', '.join(KINDS)}")
    if _selected is None:
        backend: Backend = import_module(f"{__name__}.{name}").BACKEND
        _selected = backend
    elif _selected.name != name:
        raise ConfigError(f"backend = {name}: this process already runs on the {_selected.name} backend")
    return _selected


def deselect() -> None:
    """Forget the choice; for a test that goes through several backends in one process, where none is in use yet."""
    global _selected  # noqa: PLW0603 - as above
    _selected = None


def current() -> Backend:
    """Return the backend in use; the default one is selected by the first who asks."""
    return _selected or select(DEFAULT)


def has_threads() -> bool:
    """Whether tasks are native threads on the backend in use."""
    return KINDS[current().name].has_threads
