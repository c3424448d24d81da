"""Reaping: as PID 1, or as a child subreaper, every orphan of the container ends up here.

Guarantees: one `reap` collects all that is dead, for one SIGCHLD can stand for many; it never blocks.
Who of them was a worker is not decided here.  It imports only what every Python has loaded, for
`launcher exec` runs on it; and eventlet replaces `os.waitpid` by one that polls, but not `posix.waitid`.
"""

import _signal
import posix
from time import monotonic

from launcher.supervisor import signals
from launcher.supervisor.libc import PR_SET_CHILD_SUBREAPER, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SWEEP_GRACE = 1.0  # seconds that leftover processes have between TERM and KILL
STRANGERS_POLL = 0.05  # seconds; of processes that are not our children no signal tells that they ended
ROUNDS = 10  # of looking for descendants that are new; one that forks for ever must not hold us up


def adopt_orphans() -> bool:
    """Make orphans below this process its children; PID 1 has them anyway.  Return whether it worked."""
    return posix.getpid() == 1 or prctl(PR_SET_CHILD_SUBREAPER, 1)


def reap() -> "Iterator[tuple[int, int]]":
    """Yield PID and status, as of `os.waitstatus_to_exitcode`, of every child that is dead."""
    for dead in changes():
        yield _end(dead)


def _end(dead: "posix.waitid_result") -> "tuple[int, int]":
    return dead.si_pid, dead.si_status if dead.si_code == posix.CLD_EXITED else -dead.si_status


class Reaper:
    """Reaps, and remembers who is stopped: `stopped` has since when, on the monotonic clock.

    Whom a debugger holds is not among them: the kernel tells the debugger alone.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, float] = {}

    def reap(self) -> "list[tuple[int, int]]":
        """Return the same as `reap`."""
        dead = []
        for change in self.changes():
            if change.si_code == posix.CLD_STOPPED:
                self.stopped[change.si_pid] = monotonic()
                continue
            self.stopped.pop(change.si_pid, None)
            if change.si_code != posix.CLD_CONTINUED:
                dead.append(_end(change))
        return dead

    def changes(self) -> "Iterator[posix.waitid_result]":
        """Yield what happened to children."""
        return changes(posix.WEXITED | posix.WSTOPPED | posix.WCONTINUED)


def changes(kinds: int = posix.WEXITED) -> "Iterator[posix.waitid_result]":
    """Yield what happened to children, of the kinds asked for: ends, and stops and continuations besides."""
    options = kinds | posix.WNOHANG
    try:
        while (change := posix.waitid(posix.P_ALL, 0, options)) is not None:
            yield change
    except ChildProcessError:
        return


def sweep(
    grace: float = SWEEP_GRACE,
    *,
    cut_by: frozenset[int] = frozenset(),
    reaped: "Callable[[int], object] | None" = None,
) -> None:
    """End what our own children left behind: TERM to everybody, `grace` seconds at most, KILL, reap.

    As PID 1 everybody is the namespace; else all below us, which includes the orphans we adopted.  A
    signal of `cut_by` ends the grace at once; `reaped` is told the PIDs.
    """
    signals.block_all()
    for signum, patience in ((_signal.SIGTERM, grace), (_signal.SIGKILL, SWEEP_GRACE)):
        if not _anybody_left(reaped):
            return
        _signal_everybody(signum)
        _wait_for_the_end(monotonic() + patience, cut_by if signum == _signal.SIGTERM else frozenset(), reaped)


def _wait_for_the_end(deadline: float, cut_by: frozenset[int], reaped: "Callable[[int], object] | None") -> None:
    awaited = {_signal.SIGCHLD, *cut_by}
    while _anybody_left(reaped) and (left := deadline - monotonic()) > 0:
        arrived = _signal.sigtimedwait(awaited, left if _children_left() else min(left, STRANGERS_POLL))
        if arrived is not None and arrived.si_signo in cut_by:
            return


def _anybody_left(reaped: "Callable[[int], object] | None") -> bool:
    """Reap, and tell whether there is anybody to wait for, as PID 1 also whom `docker exec` brought in."""
    for pid, _status in reap():
        if reaped is not None:
            reaped(pid)
    return _children_left() or (posix.getpid() == 1 and _signalled(-1, 0))


def _children_left() -> bool:
    try:
        posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _signal_everybody(signum: int) -> None:
    if posix.getpid() == 1:
        _signalled(-1, signum)
        return
    done: set[int] = set()
    # Again until there is nobody new: one may have forked after its children were listed.
    for _ in range(ROUNDS):
        new = [pid for pid in _descendants(posix.getpid()) if pid not in done]
        if not new:
            return
        done.update(new)
        for pid in new:
            _signalled(pid, signum)


def _signalled(pid: int, signum: int) -> bool:
    try:
        posix.kill(pid, signum)
    except PermissionError:
        return True
    except ProcessLookupError:
        return False
    return True


def _descendants(root: int) -> list[int]:
    """PIDs below `root`, nearest first; what /proc does not tell is left out."""
    found = [root]
    for pid in found:
        try:
            for thread in posix.listdir(f"/proc/{pid}/task"):  # each lists those that it forked itself
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as children:
                    found += map(int, children.read().split())
        except OSError:
            continue
    return found[1:]
