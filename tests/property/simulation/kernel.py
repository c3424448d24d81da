"""A kernel for the core: processes with natures of their own, in a time that only moves from event to event.

Processes do by themselves what their `Nature` says, and answer signals, or not.  What they say, and that
they are dead, waits until it is collected, as it does with the real one; a PID is free again from then
on, and soon somebody else's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from signal import Signals
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.supervisor.state import Spawn


@dataclass(frozen=True, slots=True)
class Nature:
    """What a process does, in seconds after its fork or after a signal; `inf` is never."""

    ready_after: float = 0.0  # a mold: has loaded
    dies_after: float = inf
    status: int = 1  # with which it dies
    refuses: int = 0  # a mold: the code with which it says that it cannot load
    deaf_after: float = inf  # its hub is blocked
    term_delay: float = 0.0
    term_status: int = 0
    abort_delay: float = 0.0
    kill_delay: float = 0.0  # uninterruptible
    fork_delay: float = 0.0  # a mold: from the request to the fork
    birth_delay: float = 0.0  # a mold: from its own fork to the worker's, which the process in between makes
    forks_until: float = inf  # a mold: hangs from then on

    def __str__(self) -> str:
        said = [f"{name}={getattr(self, name):g}" for name in self.__slots__ if getattr(self, name) != _default(name)]
        return " ".join(said) or "good"


def _default(name: str) -> Any:
    return Nature.__dataclass_fields__[name].default


@dataclass(slots=True, eq=False)
class Process:
    """One process from its fork until it is reaped, with what was done to it."""

    pid: int
    born: float
    nature: Nature
    generation: int
    spawn: Spawn | None = None  # None: a mold
    alive: bool = True
    status: int = 0
    known: bool = False  # the core was told of it
    ready_at: float = inf  # the core was told so
    startup_ends: float = inf  # when it must be ready
    termed: float = inf
    grace_ends: float = inf
    aborted: float = inf
    killed: float = inf
    hung: bool = False  # the core was told so
    retired: bool = False  # the core was told so
    retire_from: float = inf  # when it may be replaced for its age
    mute: bool = False  # it writes no stacks on ABRT
    comes_of_age: float = inf  # when it counts as ready without saying so
    requests: deque[Spawn] = field(default_factory=deque)

    @property
    def asked(self) -> bool:
        """Whether it was sent any signal that is to end it."""
        return min(self.termed, self.aborted, self.killed) < inf

    @property
    def live(self) -> bool:
        """Whether, by all that the core can know, it starts or serves."""
        return self.known and not self.asked and not self.hung

    @property
    def ready(self) -> bool:
        """Whether, by all that the core can know, it serves."""
        return self.live and self.ready_at < inf


class Kernel:
    """Parameters: how many PIDs there are: they come round."""

    def __init__(self, pids: int) -> None:
        self.now = 100.0
        self.processes: dict[int, Process] = {}  # not reaped yet
        self.said: deque[tuple[Any, ...]] = deque()  # not heard yet
        self.calm = False  # nobody dies by himself any more
        self.full_until = 0.0  # forks fail for want of PIDs
        self._pids = pids
        self._last_pid = 1
        self._zombies: deque[Process] = deque()
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._events = 0

    # Time

    def at(self, delay: float, call: Callable[..., None], *args: Any) -> None:
        """Let something happen later."""
        if delay < inf:
            self._events += 1
            heappush(self._heap, (self.now + delay, self._events, call, args))

    def next(self) -> float:
        """When the next event is."""
        return self._heap[0][0] if self._heap else inf

    def waiting(self) -> bool:
        """Whether somebody waits to be reaped or heard."""
        return bool(self.said or self._zombies)

    def step(self) -> None:
        """Let the next event happen, if it is due."""
        if self._heap and self._heap[0][0] <= self.now:
            _, _, call, args = heappop(self._heap)
            call(*args)

    # Processes

    def fork(self, nature: Nature, generation: int, spawn: Spawn | None = None) -> Process:
        process = Process(self._free_pid(), self.now, nature, generation, spawn)
        self.processes[process.pid] = process
        self.at(nature.dies_after, self._dies_by_itself, process)
        self.at(nature.ready_after, self._gets_ready, process)
        return process

    def _free_pid(self) -> int:
        self._pids = max(self._pids, 2 * len(self.processes))
        while True:
            self._last_pid = (self._last_pid - 1) % self._pids + 2
            if self._last_pid not in self.processes:
                return self._last_pid

    def _dies_by_itself(self, process: Process) -> None:
        if not self.calm:
            self.die(process, process.nature.status)

    def _gets_ready(self, process: Process) -> None:
        if not process.alive or self.deaf(process):
            return
        if process.spawn is not None:
            self.said.append(("ready", process))
            return
        self.said.append(("refused" if process.nature.refuses else "loaded", process))
        if process.nature.refuses:
            self.at(process.nature.term_delay, self.die, process, process.nature.refuses)

    def deaf(self, process: Process) -> bool:
        return self.now >= process.born + process.nature.deaf_after

    def die(self, process: Process, status: int) -> None:
        if process.alive:
            process.alive, process.status = False, status
            self._zombies.append(process)

    def kill(self, process: Process, signum: Signals) -> None:
        nature = process.nature
        match signum:
            case Signals.SIGTERM if not self.deaf(process):
                self.at(nature.term_delay, self.die, process, nature.term_status)
            case Signals.SIGABRT:
                self.at(nature.abort_delay, self.die, process, -Signals.SIGABRT)
            case Signals.SIGKILL:
                self.at(nature.kill_delay, self.die, process, -Signals.SIGKILL)

    def collect(self) -> list[Process]:
        """Reap the dead; what they said before is among what was said."""
        dead = list(self._zombies)
        self._zombies.clear()
        return dead

    def free(self, process: Process) -> None:
        """Let its PID be given to another one.  Not before the turn is over: PIDs do not come round that fast."""
        del self.processes[process.pid]

    # Molds

    def request(self, mold: Process, spawn: Spawn, nature: Callable[[], Nature]) -> None:
        """Ask a mold for a worker; it answers one request after the other."""
        mold.requests.append(spawn)
        if len(mold.requests) == 1:
            self.at(self._delay(mold), self._fork_between, mold, nature)

    def _delay(self, mold: Process) -> float:
        return 0.0 if self.calm else mold.nature.fork_delay

    def _fork_between(self, mold: Process, nature: Callable[[], Nature]) -> None:
        if mold.alive and self.now < mold.born + mold.nature.forks_until:
            self.at(0.0 if self.calm else mold.nature.birth_delay, self._fork_worker, mold, mold.requests[0], nature)

    def _fork_worker(self, mold: Process, spawn: Spawn, nature: Callable[[], Nature]) -> None:
        """The process in between does it, whether or not its mold is still there."""
        if self.now < self.full_until:
            self.said.append(("fork_failed", spawn))
        else:
            self.said.append(("born", spawn, self.fork(nature(), spawn.generation, spawn)))
        mold.requests.popleft()
        if mold.requests:
            self.at(self._delay(mold), self._fork_between, mold, nature)
