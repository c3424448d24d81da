"""Reaping in a program that has children of its own.

A program that calls a launcher is parent of three kinds: its workers; what it starts itself, by `subprocess` or
`multiprocessing`, whose exit codes belong to whoever waits for them; and, as PID 1, orphans.  The kernel does not tell
the last two apart: it says who the parent is, not since when.  So births are noted instead: each function by which
Python makes a process is wrapped, to remember the PID and, because numbers come again, the time of its start.  Whoever
is neither a worker nor noted was adopted.

Two nets are below that.  While a process is being made, no unknown one is taken.  And an unknown one is left alone for
`PATIENCE`: what C code has made, `os.system` or a library, is waited for by C code, which has it by then.

Guarantees: an end is first looked at with WNOWAIT and left where it is unless it is a worker's or an orphan's.  Where
nobody is handed orphans (not PID 1, no subreaper) only workers are taken.
"""

from __future__ import annotations

import os
import posix
import sys
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher.supervisor.libc import is_subreaper
from launcher.supervisor.reaper import Reaper

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

PATIENCE = 0.5  # seconds
KINDS = posix.WEXITED | posix.WSTOPPED | posix.WCONTINUED | posix.WNOHANG
MAKERS = {"posix": ("fork", "forkpty", "posix_spawn", "posix_spawnp"), "_posixsubprocess": ("fork_exec",)}
OURS = "launcher.supervisor.spawn"  # makes workers, which are known without this
ROUNDS = 10  # of listing children; threads that come and go without end must not hold us up
MANY = 500  # noted births, before those are looked through that are children no more


def adopts() -> bool:
    """Whether the kernel hands orphans to this process."""
    return os.getpid() == 1 or is_subreaper()


class Births:
    """The children that this process has made itself, since `watch()` or before."""

    def __init__(self) -> None:
        self._noted: dict[int, str] = {}
        self._under_way: set[object] = set()
        self._look_through_at = MANY
        self._watching = False

    def watch(self) -> None:
        """Note every birth from now on; who is a child now counts as born here.  Again is no harm."""
        if self._watching:
            return
        self._watching = True
        makers = [getattr(__import__(module), name) for module, names in MAKERS.items() for name in names]
        wrapped = {id(maker): self._noting(maker) for maker in makers}
        for module in [module for name, module in list(sys.modules.items()) if name != OURS]:
            for name, value in list(getattr(module, "__dict__", {}).items()):
                if id(value) in wrapped and value in makers:
                    setattr(module, name, wrapped[id(value)])
        for pid in children():
            self._noted.setdefault(pid, _start_of(pid))

    def is_own(self, pid: int) -> bool:
        """Whether this child was made here, or may have been: one is being made."""
        return bool(self._under_way) or (pid in self._noted and self._noted[pid] == _start_of(pid))

    def _noting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(make)
        def make_and_note(*args: Any, **kwargs: Any) -> Any:
            birth = object()
            self._under_way.add(birth)
            try:
                made = make(*args, **kwargs)
                self._note(made[0] if isinstance(made, tuple) else made)
            finally:
                self._under_way.discard(birth)
            return made

        return make_and_note

    def _note(self, pid: int) -> None:
        if pid == 0:  # the child
            return
        self._noted[pid] = _start_of(pid)
        if len(self._noted) > self._look_through_at:
            self._noted = {each: start for each, start in self._noted.items() if _start_of(each) == start}
            self._look_through_at = 2 * max(len(self._noted), MANY)


BIRTHS = Births()
_crews: list[Collection[int]] = []  # the workers of all launchers in this process


class SharingReaper(Reaper):
    """Reaps workers and orphans, and nobody else.

    Parameters: the PIDs of the workers; `again`, to be called back for another `reap` after so many seconds.
    """

    def __init__(self, workers: Collection[int], again: Callable[[float], object]) -> None:
        super().__init__()
        self._workers, self._again = workers, again
        _crews.append(workers)
        self._adopts = adopts()
        self._strangers: dict[int, float] = {}  # since when they are known
        self._due = 0.0  # when we are called back
        if self._adopts:
            BIRTHS.watch()

    def changes(self) -> Iterator[posix.waitid_result]:
        """Yield what happened to them, and take it."""
        while (seen := _look(posix.P_ALL, 0)) is not None and self._takes(seen.si_pid):
            yield from _take(seen.si_pid)
        if seen is None:
            self._strangers.clear()
            return
        known, self._strangers = self._strangers, {}
        for pid in children() or list(self._workers):  # one that is left hides the others
            if pid in known:
                self._strangers[pid] = known[pid]
            if _look(posix.P_PID, pid) is not None and self._takes(pid):
                yield from _take(pid)
        if self._strangers and monotonic() >= self._due:
            self._due = monotonic() + PATIENCE
            self._again(PATIENCE)

    def _takes(self, pid: int) -> bool:
        if pid in self._workers:
            return True
        if not self._adopts or BIRTHS.is_own(pid) or any(pid in crew for crew in _crews):
            return False
        if monotonic() - self._strangers.setdefault(pid, monotonic()) < PATIENCE:
            return False
        self._strangers.pop(pid, None)
        return True


def children() -> list[int]:
    """Return the PIDs of this process's children; none where /proc does not tell."""
    for _ in range(ROUNDS):
        found = [_children_of(thread) for thread in _threads()]
        if None not in found:
            return [pid for each in found if each is not None for pid in each]
    return []


def _threads() -> list[str]:
    try:
        return posix.listdir("/proc/self/task")
    except OSError:
        return []


def _children_of(thread: str) -> list[int] | None:
    """Return whom a thread has started, or was handed; None if it has ended, for then another one has them."""
    try:
        with open(f"/proc/self/task/{thread}/children", "rb") as listed:
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return None


def _look(kind: int, pid: int) -> posix.waitid_result | None:
    try:
        return posix.waitid(kind, pid, KINDS | posix.WNOWAIT)
    except ChildProcessError:
        return None


def _take(pid: int) -> Iterator[posix.waitid_result]:
    try:
        if (change := posix.waitid(posix.P_PID, pid, KINDS)) is not None:
            yield change
    except ChildProcessError:  # somebody else was faster
        return


def _start_of(pid: int) -> str:
    """Return when a process was started, in the kernel's ticks; "" if that is not known."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""
