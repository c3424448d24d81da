"""Signals that are meant for somebody else."""

from __future__ import annotations

import signal


def ignore(*signums: int) -> None:
    """Have these signals do nothing from now on, but by a handler: programs that are started would inherit SIG_IGN."""
    for signum in signums:
        signal.signal(signum, _nothing)


def unclaimed(signum: int) -> tuple[int, ...]:
    """Return the signal, unless the application does something on it."""
    handler = signal.getsignal(signum)
    return (signum,) if not callable(handler) or handler is _nothing else ()


def _nothing(*_: object) -> None:
    pass
