"""How a worker knows that it has done enough (`max_requests`), and says so, once.

A WSGI service counts by itself.  Any other may call `launcher.served()` for each message or job, and is then
replaced in the same way.  Whoever runs the service decides what that does; where nobody listens, it does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class _Limit:
    requests: int
    announce: Callable[[], object]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    """Of the requests; drawn in one step, so that no two threads have the same."""


_limit: _Limit | None = None


def limit(requests: int, announce: Callable[[], object]) -> None:
    """Have `announce` called at the request of this number, from now on; it takes the place of an earlier one."""
    global _limit  # noqa: PLW0603 - a process has one
    _limit = _Limit(requests, announce)


def served() -> None:
    """Count a request, a message, a job: whatever this service is there for."""
    own = _limit
    if own is not None and next(own.numbers) == own.requests:
        own.announce()


def counted(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return a WSGI application that counts its requests; the same one where nobody wants to know."""

    def tell(environ: Any, start_response: Any) -> Iterable[bytes]:
        served()
        return app(environ, start_response)

    return app if _limit is None else tell
