"""How a service says that it can serve.

A service that needs longer than its `start()` (it warms a cache, waits for a database) sets
`announces_ready = True` and calls `launcher.ready()`.  Whoever runs the service decides what that
does; where nobody listens, in a test or a shell, it does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_announce: list[Callable[[], object]] = []


def on_ready(announce: Callable[[], object]) -> None:
    """Have `announce` called by the next `ready()`; it takes the place of an earlier one."""
    _announce[:] = [announce]


def ready() -> None:
    """Say that this process can serve.  Only the first call counts."""
    try:
        announce = _announce.pop()  # in one step: several threads may say so
    except IndexError:
        return
    announce()
