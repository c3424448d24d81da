"""Green threads by eventlet: the backend that OpenStack's services are written for.

It exists because those services patch the standard library and expect a hub.  Nothing outside
`worker/backends/` uses eventlet, so this file and `eventlet_wsgi` are all that a move away from
it has to replace; others only step around what a program may have patched.

Guarantees: what a task raises is logged and never reaches the hub, where a SystemExit would end the
process at a random place; a killed task lets its waiters go, even if it never began; a forked child
shares no epoll instance with its parent.

Assumptions: one native thread.  A task runs until it waits, so code without a wait in it is atomic.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError
from launcher.supervisor.scoreboard import private_seat
from launcher.worker.deferred import CallsLater, deferred
from launcher.worker.naming import name_of

# Its resolver is half of its import, and only who resolves names needs it.
with warnings.catch_warnings(), deferred("eventlet.support.greendns", by=CallsLater):
    # `launcher check` says it once; said by every worker it would only drown the log.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet
    from eventlet import hubs
    from greenlet import GreenletExit, getcurrent, greenlet

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from launcher.supervisor.scoreboard import Seat
    from launcher.worker.backends import Backend, Event, Server, Task, Terms

logger = logging.getLogger("launcher.service")

ASYNCIO_HUB = "eventlet.hubs.asyncio"


class EventletEvent:
    """A flag that tasks wait for.  Once set it stays set."""

    def __init__(self) -> None:
        self._event = eventlet.Event()

    def set(self) -> None:
        """Wake all who wait, now and later."""
        if not self._event.ready():
            self._event.send(True)

    def is_set(self) -> bool:
        """Whether `set` was called."""
        return bool(self._event.ready())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until set, at most `timeout` seconds; return whether it is set."""
        self._event.wait(timeout)
        return self.is_set()


class EventletTask:
    """A call in a green thread of its own."""

    def __init__(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        self._ended = EventletEvent()
        self._thread = eventlet.spawn(_guard, call, args, kwargs)
        self._thread.link(self._end)

    def _end(self, _thread: object) -> None:
        self._ended.set()

    @property
    def ident(self) -> int:
        """What `threading.get_ident()` says inside the call."""
        return id(self._thread)

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the call has ended, however it ended, or after `timeout` seconds; at once for the call itself."""
        # Not GreenThread.wait(): it raises the other's GreenletExit, which looks like our own.
        return getcurrent() is self._thread or self._ended.wait(timeout)

    def kill(self) -> None:
        """Raise GreenletExit in the call where it waits; the call itself is left to run out."""
        if getcurrent() is not self._thread:
            eventlet.kill(self._thread)


class EventletBackend:
    """What a service needs of eventlet; see `launcher.worker.backends.Backend`."""

    name = "eventlet"
    kills: tuple[type[BaseException], ...] = (GreenletExit,)

    def __init__(self) -> None:
        self._seat = private_seat()
        self._abandoned: list[Any] = []

    def patch(self) -> None:
        """Patch the standard library, and import what every forked worker can then share.

        Raises `ConfigError` for a hub that is not there or cannot be forked.
        """
        _refuse_asyncio(os.environ.get("EVENTLET_HUB", ""), "EVENTLET_HUB")
        if "EVENTLET_HUB" in os.environ:
            with _wrong_hub():
                hubs.use_hub()
        eventlet.monkey_patch()
        import launcher.worker.backends.eventlet_wsgi  # noqa: F401 - not before the patching

    def complete(self) -> None:
        """Import the resolver, which else the first look-up of a name in each process does."""
        if os.environ.get("EVENTLET_NO_GREENDNS", "").lower() != "yes":
            import eventlet.support.greendns  # noqa: F401 - for all who were promised its functions

    def after_fork(self) -> None:
        """Give this child a hub of its own (oslo.service calls `use_hub()` for it) and no thread pool.

        Tasks begun before the fork go on in the parent only; nothing of them may be touched here.
        Raises `ConfigError` for a hub that is not there or cannot be forked.
        """
        with _wrong_hub():
            inherited = hubs.get_hub()
        kind = type(inherited)
        _refuse_asyncio(kind.__module__, "eventlet.hubs.use_hub()")
        _abandon(inherited)
        _forget_thread_pool()
        hubs.use_hub(f"{kind.__module__}:{kind.__qualname__}")

    def spawn(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> Task:
        """Run a call beside the caller.  An exception in it is logged with its traceback."""
        return EventletTask(call, *args, **kwargs)

    def guard(self, call: Callable[..., object], /, *args: Any, **kwargs: Any) -> None:
        """Run a call here and now.  What it raises is logged with its traceback and goes no further; a kill does."""
        _guard(call, args, kwargs)

    def event(self) -> Event:
        """Make a new event that is not set."""
        return EventletEvent()

    def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        eventlet.sleep(seconds)

    def wait_readable(self, fd: int, timeout: float | None = None) -> None:
        """Suspend the calling task until `fd` is readable or at its end.  One task at a time for a descriptor."""
        try:
            hubs.trampoline(fd, read=True, timeout=timeout, timeout_exc=TimeoutError)
        except TimeoutError:
            return

    def wait_writable(self, fd: int) -> None:
        """Suspend the calling task until `fd` takes something, or nobody is at its other end."""
        hubs.trampoline(fd, write=True)

    def nudge(self) -> None:
        """Do nothing: there is no thread but the main one."""

    def abandon_tasks(self) -> None:
        """In a forked child that goes on as something else: keep all green threads, and the hub that they wait in.

        One that is let go would be run once more, to be told that it ends.
        """
        self._abandoned += [hubs.get_hub(), *_green_threads()]

    def leave_thread(self) -> None:
        """Close the descriptor of this thread's hub, which outlives it; a green thread has none of its own."""
        if getcurrent().parent is None:
            _abandon(hubs.get_hub())

    def requests_in_flight(self) -> int:
        """Return how many HTTP requests this process is answering."""
        return self._seat.in_flight

    def beat(self, seat: Seat) -> None:
        """Write in `seat` from now on whether the hub works or waits, and the requests that are served."""
        self._seat = seat
        _stamp(hubs.get_hub(), seat)

    def stacks(self) -> list[tuple[str, FrameType]]:
        """Name every thread and every green thread, the hub's too, each with the frame it is in."""
        threads = sys._current_frames().items()  # noqa: SLF001 - its documented name
        tasks = [one for one in _green_threads() if one.gr_frame is not None]
        return [
            *((f"thread {ident}", frame) for ident, frame in threads),
            *((f"green thread {id(one)}", one.gr_frame) for one in tasks),
        ]

    def serve(self, app: Any, listeners: Iterable[socket.socket], terms: Terms, **own: Any) -> Server:
        """Serve a WSGI application on listeners that are taken over; see `eventlet_wsgi`."""
        from launcher.worker.backends.eventlet_wsgi import EventletServer

        return EventletServer(app, listeners, terms, self._seat, **own)


def _green_threads() -> list[greenlet]:
    # Not isinstance(): it would ask a weak proxy for the class of what is gone.
    return [one for one in gc.get_objects() if issubclass(type(one), greenlet)]


def _guard(call: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Run a call; log whatever it raises, but let a kill pass."""
    try:
        call(*args, **kwargs)
    except GreenletExit:
        raise
    except BaseException:  # a border: eventlet.Timeout and SystemExit are no Exception
        logger.exception("%s failed", name_of(call))


def _stamp(hub: Any, seat: Seat) -> None:
    """Stamp the seat before and after each wait of a hub.

    All that the hub runs, it runs between two polls; in a worker there is always a descriptor to poll.  A hub that has
    no `do_poll` (`selects`) is not stamped, so it is never taken for one that hangs.
    """
    poll = getattr(hub, "do_poll", None)
    if poll is None:
        return
    sleeps, works = seat.sleeps, seat.works

    def do_poll(seconds: float) -> Any:
        if seconds:
            sleeps()
        try:
            return poll(seconds)
        finally:
            works()

    works()
    hub.do_poll = do_poll


@contextmanager
def _wrong_hub() -> Iterator[None]:
    """Turn whatever comes of a name that is none of a hub into a `ConfigError`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - eventlet raises no less, and the module named may be anybody's
        raise ConfigError(
            f"EVENTLET_HUB = {os.environ.get('EVENTLET_HUB')}: no hub that eventlet can use here "
            f"({type(error).__name__}: {error}); unset it or use epolls"
        ) from None


def _refuse_asyncio(hub: str, source: str) -> None:
    if hub.partition(":")[0] in {"asyncio", ASYNCIO_HUB}:
        raise ConfigError(f"{source} = {hub}: eventlet's asyncio hub does not survive fork(); unset it or use epolls")


def _abandon(hub: Any) -> None:
    """Close this process's descriptor of an inherited hub's epoll instance.

    fork() shares the instance itself, so whatever is unregistered here the parent waits for no more.
    """
    close = getattr(getattr(hub, "poll", None), "close", None)
    if close is not None:  # poll() and select() have no descriptor
        close()


def _forget_thread_pool() -> None:
    """Let tpool begin anew: its threads stayed in the parent, so `tpool.killall()` would join them for ever."""
    tpool: Any = sys.modules.get("eventlet.tpool")
    if tpool is None or not tpool._setup_already:  # noqa: SLF001 - eventlet has no call for it
        return
    for end in (tpool._rsock, tpool._wsock):  # noqa: SLF001
        end.close()
    tpool._threads.clear()  # noqa: SLF001
    vars(tpool).update(_setup_already=False, _coro=None, _rsock=None, _wsock=None, _reqq=None, _rspq=None)


BACKEND: Backend = EventletBackend()
