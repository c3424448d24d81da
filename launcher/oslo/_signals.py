"""oslo.service's `SignalHandler` and `SignalExit`, over `launcher.service.signals`.

Where a launcher of ours runs, handlers are called beside what it does on the signal itself, never instead of it: a
handler of TERM does not keep a worker from stopping.
"""

from __future__ import annotations

import signal
from collections import defaultdict
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar

from launcher.service.signals import HANDLERS
from launcher.supervisor.signals import SignalInbox
from launcher.worker import backends
from launcher.worker.main import obey_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Handler = Callable[[int, Any], object]


class Singleton(type):
    """A class of which there is one object."""

    _instances: ClassVar[dict[type, object]] = {}
    _lock = RLock()

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make it, or return the one that there is."""
        with cls._lock:
            if cls not in cls._instances:
                cls._instances[cls] = super().__call__(*args, **kwargs)
        return cls._instances[cls]


class SignalExit(SystemExit):
    """The end of a process for a signal."""

    def __init__(self, signo: int, exccode: int = 1) -> None:
        super().__init__(exccode)
        self.signo = signo


class SignalHandler(metaclass=Singleton):
    """The handlers of this process, each called with the number and a frame, the one added last first.

    Here no frame is ever at hand: it is None.
    """

    def __init__(self) -> None:
        named = [each for each in dir(signal) if each.startswith("SIG") and not each.startswith("SIG_")]
        self._signals_by_name = {name: getattr(signal, name) for name in named}
        self.signals_to_name = {signum: name for name, signum in self._signals_by_name.items()}
        self._signal_handlers: defaultdict[int, list[Handler]] = defaultdict(list)

    def clear(self) -> None:
        """Forget all handlers."""
        for signo in [signo for signo, handlers in self._signal_handlers.items() if handlers]:
            HANDLERS.remove(signo, self._arrived)
        self._signal_handlers.clear()

    def add_handlers(self, signals: Iterable[str], handler: Handler) -> None:
        """Add a handler for several signals."""
        for sig in signals:
            self.add_handler(sig, handler)

    def add_handler(self, sig: str, handler: Handler) -> None:
        """Have `handler(signo, frame)` called on a signal of this name; one that does not exist is left out."""
        if not self.is_signal_supported(sig):
            return
        signo = self._signals_by_name[sig]
        _listen()
        if not self._signal_handlers[signo]:
            HANDLERS.add(signo, self._arrived)
        self._signal_handlers[signo].append(handler)

    def is_signal_supported(self, sig_name: str) -> bool:
        """Whether there is a signal of this name, as in `SIGTERM`."""
        return sig_name in self._signals_by_name

    def _handle_signal(self, signo: int, frame: Any) -> None:
        backends.current().spawn(self._handle_signal_cb, signo, frame)

    def _handle_signal_cb(self, signo: int, frame: Any) -> None:
        for handler in reversed(self._signal_handlers[signo]):
            handler(signo, frame)

    def _arrived(self, signo: int) -> None:
        self._handle_signal_cb(signo, None)


def _listen() -> None:
    """Hear of signals where no launcher does: in a program that has none, or none yet."""
    if not HANDLERS.attached:
        inbox = SignalInbox(())
        HANDLERS.attach(inbox)
        backends.current().spawn(obey_signals, inbox, HANDLERS.arrived)
