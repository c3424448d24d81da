"""Which of the workers of its service this process is."""

from __future__ import annotations

_own = 0


def worker_id() -> int:
    """Return this worker's number, from 0: that of its slot, so its replacement has it too; 0 in any other process.

    Known from the hook `post_fork` on, so also where the service is made.  While a worker is replaced, two have it.
    """
    return _own


def become(number: int) -> None:
    """Be the worker of this number from now on."""
    global _own  # noqa: PLW0603 - a process is one worker
    _own = number
