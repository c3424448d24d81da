"""A call that runs beside the others: green or native, as the backend has it.

Locks are held for moments in which no green thread switches, so they make no difference to those; a signal handler
that comes in such a moment may take them once more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from launcher.worker import backends
from launcher.worker.naming import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("launcher.service")


@dataclass(slots=True)
class Outcome:
    """What a call returned or raised."""

    result: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        """Return the one, or raise the other."""
        if self.error is not None:
            raise self.error
        return self.result


class Thread:
    """A call that runs beside the others (oslo.service: the same).

    `done` is called with the thread when the call has ended, before its links are.
    """

    def __init__(self, done: Callable[[Thread], None], callback: Callable[..., object], args: Any, kwargs: Any) -> None:
        self._done = done
        self._call = (callback, args, kwargs)
        self._links: list[tuple[Callable[..., object], Any, Any]] = []
        self._lock = RLock()
        self._begun = False
        self._over = False
        self._task: backends.Task | None = None
        self._outcome = Outcome()

    @property
    def ident(self) -> int | None:
        """What `threading.get_ident()` says inside the call; None before it is started."""
        return self._task.ident if self._task is not None else None

    def start(self) -> None:
        """Begin the call."""
        with self._lock:  # the call may look at itself
            self._task = backends.current().spawn(self._run)

    def stop(self) -> None:
        """End the call now where the backend can; from inside the call itself this does nothing."""
        if self._task is not None:
            self._task.kill()
        self.cancel()

    def cancel(self) -> None:
        """Let the call not begin; one that has begun goes on."""
        with self._lock:
            never, self._begun = not self._begun, True
        if never:
            self._end()

    def join(self, timeout: float | None = None) -> bool:
        """Return when the call has ended, however it ended, or after `timeout` seconds, which is False.

        From inside the call itself, return at once.
        """
        return self._task is None or self._task.wait(timeout)

    def wait(self) -> Any:
        """Return what the call returned, when it has ended, or raise what it raised; None if it was killed."""
        self.join()
        return self._outcome.get()

    def link(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        """Call `func(thread, *args, **kwargs)` when the call has ended, at once if it has."""
        with self._lock:
            if not self._over:
                self._links.append((func, args, kwargs))
                return
        func(self, *args, **kwargs)

    def _run(self) -> None:
        with self._lock:
            stopped, self._begun = self._begun, True
        if stopped:
            return
        callback, args, kwargs = self._call
        try:
            self._outcome.result = callback(*args, **kwargs)
        except backends.current().kills:
            raise
        except BaseException as error:  # a border: eventlet.Timeout and SystemExit are no Exception
            self._outcome.error = error
            logger.exception("%s failed", name_of(callback))
        finally:
            self._end()

    def _end(self) -> None:
        self._done(self)
        with self._lock:
            self._over = True
        for func, args, kwargs in self._links:
            backends.current().guard(func, self, *args, **kwargs)
