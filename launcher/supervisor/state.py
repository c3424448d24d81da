"""The nouns of the core: what it is told to do, and what it remembers.

Nothing here decides.  A `Slot` is a place that child processes fill one after the other: one slot a
worker of a service, and one for the mold of a generation.  While a worker is replaced, its slot
holds two live children.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING

from launcher.supervisor.agenda import Agenda

if TYPE_CHECKING:
    from signal import Signals

    from launcher.supervisor.settings import Policy


class Stage(Enum):
    """How far a child is.  It only ever moves down this list."""

    STARTING = auto()  # forked; must be ready before its deadline
    READY = auto()  # a worker serves; a mold has loaded the application
    STOPPING = auto()  # was sent TERM; must be gone before its deadline
    ABORTED = auto()  # was sent ABRT, to write its stacks
    KILLED = auto()  # was sent KILL; only the kernel can be slow now


LIVE = (Stage.STARTING, Stage.READY)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Load the configuration and the application for a generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a worker; answer with `spawned` or `spawn_failed` and this serial number."""

    service: str
    slot: int
    generation: int
    serial: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send a signal to a child that was not reaped yet."""

    pid: int
    signum: Signals
    why: str


@dataclass(frozen=True, slots=True)
class CloseListeners:
    """Close the supervisor's own copies of the listening sockets: nobody else will accept from them."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something that a person should know."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to wait for: end with this exit code."""

    code: int
    reason: str


Action = Prepare | Spawn | Kill | CloseListeners | Tell | Finish


@dataclass(slots=True, eq=False)
class Child:
    """A process that was forked and not reaped yet."""

    pid: int
    slot: Slot
    generation: int
    since: float  # when it entered its stage
    deadline: float
    stage: Stage = Stage.STARTING
    asked: bool = False  # to end, so its end is no failure

    def enter(self, stage: Stage, now: float, patience: float) -> None:
        """Move on, for at most `patience` seconds."""
        self.stage, self.since, self.deadline = stage, now, now + patience


@dataclass(slots=True, eq=False)
class Slot:
    """A place for a child; `service` is None for the mold of a generation, and for strays."""

    service: Service | None
    index: int
    children: list[Child] = field(default_factory=list)
    pending: Spawn | Prepare | None = None  # was handed out and is not answered yet
    pending_until: float = inf
    failures: int = 0  # in a row
    not_before: float = -inf
    throttled: bool = False  # has waited its turn in the fork throttle
    marked: bool = False  # is on the agenda
    wake: float = inf  # when it is looked at even if nothing happens

    def live(self, generation: int | None = None) -> list[Child]:
        """Children that start or serve, of any or of one generation."""
        return [c for c in self.children if c.stage in LIVE and generation in (None, c.generation)]

    def serving(self) -> bool:
        """Whether a child is ready."""
        return any(c.stage is Stage.READY for c in self.children)


@dataclass(frozen=True, slots=True)
class Version:
    """What a service shall be: of which generation, and how many workers."""

    generation: int
    workers: int


@dataclass(slots=True, eq=False)
class Service:
    """A named group of slots that all run the same."""

    name: str
    version: Version
    target: int
    proven: Version | None = None  # the last one that got a worker ready; of 0 workers: not being there
    leaving: bool = False  # the newest generation does not have it; it goes when all that this one has are ready
    slots: list[Slot] = field(default_factory=list)
    ready: int = 0
    failures: int = 0  # in a row, over all slots
    failing_since: float = inf  # when that row began
    crash_looping: bool = False
    turn: Slot | None = None  # the slot whose serving worker is being replaced
    queue: dict[Slot, None] = field(default_factory=dict)  # slots that wait for the turn, in order
    forktimes: deque[float] = field(default_factory=deque)
    next_throttled_fork: float = -inf


@dataclass(slots=True, eq=False)
class Generation:
    """One reading of configuration and code, and the mold that holds it."""

    slot: Slot
    prepared: bool = False


@dataclass(slots=True, eq=False)
class State:
    """Everything that the core remembers."""

    policy: Policy  # of the newest generation that was taken up
    services: dict[str, Service] = field(default_factory=dict)
    generations: dict[int, Generation] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    strays: Slot = field(default_factory=lambda: Slot(None, -1))  # of molds that were given up for lost
    newest: int = 0  # generation
    requested: int | None = None  # the generation that a reload is waiting for
    serial: int = 0  # of the last Spawn
    pending: dict[int, Slot] = field(default_factory=dict)  # serial: the slot whose Spawn is not answered yet
    agenda: Agenda = field(default_factory=Agenda)
    tells: deque[Tell] = field(default_factory=deque)
    stopping: bool = False
    at_once: bool = False  # without grace
    terminate_at: float = inf  # when the workers are told to stop
    terminating: bool = False  # they are told
    end: tuple[int, str] = (0, "")  # the exit code, and why
    finished: bool = False

    def mark(self, slot: Slot) -> None:
        """Something happened to a slot: look at it."""
        self.agenda.mark(slot)

    def mark_generations(self) -> None:
        """Something happened to what is loaded, or to who needs it."""
        for record in self.generations.values():
            self.mark(record.slot)

    def mark_all(self) -> None:
        """Something happened to everybody."""
        self.mark(self.strays)
        self.mark_generations()
        for service in self.services.values():
            for slot in service.slots:
                self.mark(slot)

    def born(self, slot: Slot, generation: int, pid: int, now: float) -> None:
        """A child was forked."""
        child = Child(pid, slot, generation, now, now + self.policy.startup_timeout)
        self.children[pid] = child
        slot.children.append(child)
        self.mark(slot)

    def tell(self, level: str, text: str) -> None:
        """Have something said that a person should know."""
        self.tells.append(Tell(level, text))
