"""How a worker knows that it has done enough (`max_requests`), and says so, once.

A WSGI service counts by itself.  Any other may call `launcher.served()` for each message or job, and is then
replaced in the same way.  Whoever runs the service decides what that does; where nobody listens, it does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_left = 0
_announce: Callable[[], object] | None = None


def limit(requests: int, announce: Callable[[], object]) -> None:
    """Have `announce` called at the request of this number, from now on; it takes the place of an earlier one."""
    global _left, _announce
    _left, _announce = requests, announce


def served() -> None:
    """Count a request, a message, a job: whatever this service is there for."""
    global _left, _announce  # noqa: PLW0603
    _left -= 1
    if _left <= 0 and _announce is not None:
        announce, _announce = _announce, None
        announce()


def counted(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application that counts its requests; the same one where nobody wants to know."""

    def count(environ: Any, start_response: Any) -> Iterable[bytes]:
        served()
        return app(environ, start_response)

    return app if _announce is None else count
