"""The tie to the supervisor: a worker must not outlive it.

Two signs, for each can fail: the parent-death signal is lost when the program gains privileges, and the
lifeline, a pipe whose other end only the supervisor holds, needs somebody to look at it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.supervisor.libc import PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    from launcher.worker.backends import Backend


def die_with(supervisor: int, signum: int) -> bool:
    """Have the kernel send `signum` to us when the supervisor dies; return whether it still lives."""
    prctl(PR_SET_PDEATHSIG, signum)
    return is_child_of(supervisor)


def is_child_of(supervisor: int) -> bool:
    """Whether the supervisor lives: an orphan gets another parent."""
    return os.getppid() == supervisor


def adopted(parent: int) -> None:
    """Return when the process that forked us has ended, as it is about to: until then the supervisor has not got us."""
    while os.getppid() == parent:
        os.sched_yield()


def wait_for_end(backend: Backend, lifeline_fd: int) -> None:
    """Return when the supervisor is gone."""
    backend.wait_readable(lifeline_fd)
