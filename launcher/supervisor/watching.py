"""What the loop does for those who wait for descriptors and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.supervisor.timers import Timers

EPOLLIN, EPOLLOUT = 1, 4  # epoll_ctl(2)


class Watcher(Protocol):
    """The loop, as they see it."""

    timers: Timers

    def watch(self, fd: int, call: Callable[[], None], events: int = EPOLLIN) -> None:
        """Call when one of these events happens to `fd`, or its other end hangs up; of two calls the later counts."""

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
