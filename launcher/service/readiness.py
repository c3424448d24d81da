"""How a service says that it can serve.

A service that needs longer than its `start()` (it warms a cache, waits for a database) sets
`announces_ready = True` and calls `launcher.ready()`.  Whoever runs the service decides what that
does; where nobody listens, in a test or a shell, it does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_announce: Callable[[], object] | None = None


def on_ready(announce: Callable[[], object]) -> None:
    """Have `announce` called by the next `ready()`; it takes the place of an earlier one."""
    global _announce  # noqa: PLW0603 - a process is ready once
    _announce = announce


def ready() -> None:
    """Say that this process can serve.  Only the first call counts."""
    global _announce
    announce, _announce = _announce, None
    if announce is not None:
        announce()
