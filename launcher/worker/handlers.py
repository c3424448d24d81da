"""Signals that are meant for somebody else."""

from __future__ import annotations

import signal


def ignore(*signums: int) -> None:
    """Have these signals do nothing from now on, but by a handler: programs that are started would inherit SIG_IGN."""
    for signum in signums:
        signal.signal(signum, _nothing)


def _nothing(*_: object) -> None:
    pass
