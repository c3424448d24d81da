"""Reaping: as PID 1, or as a child subreaper, every orphan of the container ends up here.

Guarantees: one `reap` collects all that is dead, for one SIGCHLD can stand for many; it never blocks.
Who of them was a worker is not decided here.
"""

from __future__ import annotations

import _signal
import os
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor import signals
from launcher.supervisor.prctl import PR_SET_CHILD_SUBREAPER, prctl

if TYPE_CHECKING:
    from collections.abc import Iterator

SWEEP_GRACE = 1.0  # seconds that leftover processes have between TERM and KILL


def adopt_orphans() -> bool:
    """Make orphans below this process its children; PID 1 has them anyway.  Return whether it worked."""
    return os.getpid() == 1 or prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap() -> Iterator[tuple[int, int]]:
    """Yield PID and status, as of `os.waitstatus_to_exitcode`, of every child that is dead.

    waitid(2), because eventlet replaces `os.waitpid` by one that polls.
    """
    while (dead := _next_dead()) is not None:
        status = dead.si_status if dead.si_code == os.CLD_EXITED else -dead.si_status
        yield dead.si_pid, status


def _next_dead() -> os.waitid_result | None:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None


def sweep(grace: float = SWEEP_GRACE) -> None:
    """End what our own children left behind: TERM to everybody, `grace` seconds at most, KILL, reap.

    As PID 1 everybody is the namespace; else all below us, which includes the orphans we adopted.
    """
    signals.block_all()
    for signum in (_signal.SIGTERM, _signal.SIGKILL):
        if not _children_left():
            return
        _signal_everybody(signum)
        _wait_for_children(monotonic() + grace)


def _children_left() -> bool:
    for _ in reap():
        pass
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _wait_for_children(deadline: float) -> None:
    while _children_left() and (left := deadline - monotonic()) > 0:
        _signal.sigtimedwait({_signal.SIGCHLD}, left)


def _signal_everybody(signum: int) -> None:
    if os.getpid() == 1:
        os.kill(-1, signum)
        return
    for pid in _descendants(os.getpid()):
        try:
            os.kill(pid, signum)
        except (ProcessLookupError, PermissionError):
            continue


def _descendants(root: int) -> list[int]:
    """PIDs below `root`, nearest first; what /proc does not tell is left out."""
    found = [root]
    for pid in found:
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
        except OSError:
            continue
    return found[1:]
