"""Signals that an application wants to hear of: `launcher.on_signal`.

A handler is an ordinary call in a task of its own, green or native: it may wait, take locks and log, and whatever it
does, the worker obeys TERM meanwhile.  Handlers of one signal are called in the order in which they were added, one
after the other; what one raises is logged, and the next one is called.  A signal that comes while they run, once or
more often, has them called once more.

Handlers that are added where the application is imported hold in every worker, for nobody hears of signals before.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from launcher.supervisor.signals import ALL, FAULTS, UNCATCHABLE, name_of, number_of
from launcher.worker import backends
from launcher.worker.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.supervisor.signals import SignalInbox

    Handler = Callable[[int], object]

TERMINAL = "the supervisor speaks for the terminal"
OURS = {
    signal.SIGTERM: "it stops the worker; what is to be done then belongs into the service's stop()",
    signal.SIGHUP: "it reloads; what is to be done then belongs into the service's reset()",
    signal.SIGINT: TERMINAL,
    signal.SIGQUIT: TERMINAL,
    signal.SIGURG: "the launcher wakes its own threads with it",
}


def on_signal(which: int | str, handler: Handler) -> None:
    """Have `handler(signum)` called whenever the signal arrives at this worker: `USR1`, `SIGUSR1` or a number.

    What the launcher does itself on USR2, a stack dump, comes first.  Raises `ValueError` for a signal that is the
    launcher's own or that nobody can handle, `RuntimeError` in another thread than the main one.
    """
    signum = number_of(which) if isinstance(which, str) else which
    if signum is None or signum not in ALL:
        raise ValueError(f"{which!r} is no signal")
    why = _why_not(signum)
    if why:
        raise ValueError(f"{name_of(signum)} cannot be handled by an application: {why}")
    HANDLERS.add(signum, handler)


def _why_not(signum: int) -> str:
    if signum in UNCATCHABLE:
        return "the kernel lets nobody catch it"
    if signum in FAULTS:
        return "it says that the process is broken"
    return next((why for ours, why in OURS.items() if ours == signum), "")


class SignalHandlers:
    """What this process is to do on signals, beside what the launcher does."""

    def __init__(self) -> None:
        self._handlers: dict[int, list[Handler]] = {}
        self._turns: dict[int, Turns] = {}
        self._inherited: dict[int, list[Handler]] | None = None
        self._inbox: SignalInbox | None = None
        self._caught: set[int] = set()  # for these handlers alone
        self.attached = False
        """Whether somebody obeys signals in this process."""

    def add(self, signum: int, handler: Handler) -> None:
        """Have `handler` called after those that are there.  Raises `RuntimeError` if this is not the main thread."""
        self._catch(signum)
        self._handlers.setdefault(signum, []).append(handler)

    def remove(self, signum: int, handler: Handler) -> None:
        """Let a handler not be called any more; with the last one, the signal does what it did before."""
        self._handlers[signum].remove(handler)
        if self._handlers[signum]:
            return
        del self._handlers[signum]
        if self._inbox is not None and signum in self._caught:
            self._caught.discard(signum)
            self._inbox.release(signum)

    def inherit(self) -> None:
        """In a new worker: keep what was added before any worker began, not what one has added whose copy this is."""
        if self._inherited is None:
            self._inherited = {signum: [*handlers] for signum, handlers in self._handlers.items()}
        self._handlers = {signum: [*handlers] for signum, handlers in self._inherited.items()}
        self._turns.clear()

    def attach(self, inbox: SignalInbox | None) -> None:
        """Catch signals by this inbox from now on; `arrived` is to be told of them.  None: handlers are for workers."""
        self._inbox, self.attached = inbox, True
        self._caught.clear()
        for signum in self._handlers:
            self._catch(signum)

    def arrived(self, signum: int) -> None:
        """Call the handlers of a signal, beside the caller."""
        if signum in self._handlers:
            self._turns.setdefault(signum, Turns(partial(self._call, signum))).ask()

    def _catch(self, signum: int) -> None:
        if self._inbox is None or self._inbox.catches(signum):
            return
        try:
            self._inbox.catch(signum)
        except ValueError:
            raise RuntimeError(
                f"a handler of {name_of(signum)} can be added in the main thread only, as in the service's start()"
            ) from None
        self._caught.add(signum)

    def _call(self, signum: int) -> None:
        for handler in list(self._handlers.get(signum, ())):
            backends.current().guard(handler, signum)


HANDLERS = SignalHandlers()
