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
from launcher.supervisor.seats import Seats

if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import Signals

    from launcher.supervisor.settings import Policy, ServiceSpec


class Stage(Enum):
    """How far a child is.  It only ever moves down this list."""

    STARTING = auto()  # forked; must be ready before its deadline
    READY = auto()  # a worker serves; a mold has loaded the application
    STOPPING = auto()  # was sent TERM; must be gone before its deadline
    ABORTED = auto()  # was sent ABRT, to write its stacks
    KILLED = auto()  # was sent KILL; only the kernel can be slow now


LIVE = (Stage.STARTING, Stage.READY)
NO_SEAT = -1


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
    seat: int  # unique among living and asked-for workers, small and reused: its place in the scoreboard
    seasons: bool = False  # it may be asked one day to become the mold


@dataclass(frozen=True, slots=True)
class Remold:
    """Ask a worker to fork a copy of itself that becomes the mold of its generation.

    Answer with `spawned` or `spawn_failed` and this serial number, or with `remold_put_off`.
    """

    pid: int
    seat: int  # the worker's
    generation: int
    serial: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send a signal to a child that was not reaped yet."""

    pid: int
    signum: Signals
    why: str


@dataclass(frozen=True, slots=True)
class RunPreStop:
    """Run the pre_stop hook; answer with `pre_stop_ended`."""


@dataclass(frozen=True, slots=True)
class CloseListeners:
    """Close the supervisor's own copies of the listening sockets: nobody else will accept from them."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something that a person should know."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload, told once for each: the error is empty when all of it is in force and ready."""

    generation: int
    error: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing is left to wait for: end with this exit code."""

    code: int
    reason: str


Action = Prepare | Spawn | Remold | Kill | RunPreStop | CloseListeners | Tell | Reloaded | Finish


@dataclass(slots=True, eq=False)
class Child:
    """A process that was forked and not reaped yet."""

    pid: int
    slot: Slot
    generation: int
    since: float  # when it entered its stage
    deadline: float
    seat: int = NO_SEAT
    stage: Stage = Stage.STARTING
    asked: bool = False  # to end, so its end is no failure
    served: bool = False  # was ever ready
    failed: bool = False  # was given up, so its end is no further failure
    ready_at: float = inf  # when it counts as ready without saying so
    retire_at: float = inf  # when it is too old
    remold_at: float = inf  # when it is warm enough to become the mold
    retiring: str = ""  # why it is to be replaced although it serves
    hung: str = ""  # why it is known to serve nobody
    says: str = ""  # what it does, for people
    copy_of: int = 0  # a mold: the worker that it was forked by
    born: float = field(init=False)

    def __post_init__(self) -> None:
        """It was forked just now."""
        self.born = self.since

    def enter(self, stage: Stage, now: float, patience: float) -> None:
        """Move on, for at most `patience` seconds."""
        self.stage, self.since, self.deadline = stage, now, now + patience


@dataclass(slots=True, eq=False)
class Slot:
    """A place for a child; `service` is None for the mold of a generation, and for strays."""

    service: Service | None
    index: int
    open: bool = False  # is to hold a worker
    over: bool = False  # its worker has ended for good
    children: list[Child] = field(default_factory=list)
    pending: Spawn | Prepare | Remold | None = None  # was handed out and is not answered yet
    pending_until: float = inf
    asked: Child | None = None  # the mold whose answer it is; None: no mold's
    failures: int = 0  # in a row
    not_before: float = -inf
    throttled: bool = False  # has waited its turn in the fork throttle
    marked: bool = False  # is on the agenda
    wake: float = inf  # when it is looked at even if nothing happens

    def live(self) -> list[Child]:
        """Children that start or serve."""
        return [c for c in self.children if c.stage in LIVE]

    def heirs(self, generation: int) -> list[Child]:
        """Those of a generation that start or serve and are to stay."""
        live = self.live()
        return [c for c in live if c.generation == generation and not (c.retiring or c.hung)]

    def serving(self) -> bool:
        """Whether a child is ready, and not known to hang."""
        return any(c.stage is Stage.READY and not c.hung for c in self.children)


@dataclass(frozen=True, slots=True)
class Version:
    """What a service shall be: of which generation, and how its specification reads there."""

    generation: int
    spec: ServiceSpec

    @property
    def workers(self) -> int:
        """How many workers its configuration gives it; 0: it is not there."""
        return self.spec.workers


@dataclass(slots=True, eq=False)
class Service:
    """A named group of slots that all run the same."""

    name: str
    version: Version
    proven: Version | None = None  # the last one that got a worker ready or was told to be in force
    fallback: int | None = None  # how many workers it had of the proven version; None: scaled since, that stays
    leaving: bool = False  # the newest generation does not have it; it goes when all that this one has are ready
    slots: list[Slot] = field(default_factory=list)
    open: dict[Slot, None] = field(default_factory=dict)  # by the age of their workers, those of the youngest last
    empty: dict[Slot, None] = field(default_factory=dict)  # open slots that have and await nobody
    closed: list[int] = field(default_factory=list)  # a heap of indices
    over: int = 0  # open slots whose workers have ended for good
    ready: int = 0
    last_end: str = ""  # of a worker that was not asked to end
    failures: int = 0  # in a row, over all slots
    failing_since: float = inf  # when that row began
    crash_looping: bool = False
    turn: Slot | None = None  # the slot whose serving worker is being replaced
    queue: dict[Slot, None] = field(default_factory=dict)  # slots that wait for the turn, in order
    forktimes: deque[float] = field(default_factory=deque)
    next_throttled_fork: float = -inf

    @property
    def target(self) -> int:
        """How many workers it shall have now."""
        return len(self.open)

    @property
    def idle(self) -> bool:
        """Whether nobody is to serve: it is scaled to 0, dropped, or its workers have ended for good."""
        return self.over == len(self.open)

    def needs(self) -> set[int]:
        """Generations that its workers may be spawned of."""
        return {version.generation for version in (self.version, self.proven) if version and version.workers}

    def notice_empty(self, slot: Slot) -> None:
        """A slot that nothing is awaited from may be one that serves nobody."""
        if slot.open and not slot.live():
            self.empty[slot] = None
        else:
            self.empty.pop(slot, None)

    def rejuvenate(self, slot: Slot) -> None:
        """The worker of an open slot is the youngest now."""
        if slot.open:
            del self.open[slot]
            self.open[slot] = None


@dataclass(slots=True, eq=False)
class Generation:
    """One reading of configuration and code, and the mold that holds it."""

    slot: Slot
    prepared: bool = False
    users: int = 0  # services that are of it, or would go back to it
    remolds: bool = True  # a worker may become its mold; once
    waiting: dict[Slot, None] = field(default_factory=dict)  # slots to look at once it is prepared

    def mold(self) -> Child | None:
        """Return what its workers are forked by."""
        children = self.slot.children
        return next((child for child in children if child.stage is Stage.READY), children[-1] if children else None)

    def wake(self, state: State) -> None:
        """It is prepared: look at the slots that have waited for that."""
        for slot in self.waiting:
            state.mark(slot)
        self.waiting.clear()


@dataclass(slots=True, eq=False)
class Rollout:
    """A generation on its way into force."""

    generation: int
    behind: dict[Service, set[Slot]]  # slots that have had no ready worker of it yet
    unproven: set[Service]  # services that have had none yet


@dataclass(slots=True, eq=False)
class State:
    """Everything that the core remembers."""

    policy: Policy  # of the newest generation that was taken up
    random: Callable[[], float]  # from 0 to 1
    services: dict[str, Service] = field(default_factory=dict)
    generations: dict[int, Generation] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    strays: Slot = field(default_factory=lambda: Slot(None, -1))  # of molds that were given up for lost
    newest: int = 0  # generation
    requested: int | None = None  # the generation that a reload is waiting for
    rollout: Rollout | None = None
    holds: int = 0  # how often what a service is, or would go back to, has changed
    ready: int = 0  # workers, of all services
    serial: int = 0  # of the last Spawn
    pending: dict[int, Slot] = field(default_factory=dict)  # serial: the slot that awaits the answer
    seats: Seats = field(default_factory=Seats)
    lost: dict[int, int] = field(default_factory=dict)  # serial: seat, of Spawns whose mold ended without an answer
    agenda: Agenda = field(default_factory=Agenda)
    news: deque[Tell | Reloaded] = field(default_factory=deque)
    stopping: bool = False
    at_once: bool = False  # without grace
    pre_stop: bool = False  # the hook is to be run
    drained_at: float = inf  # when drain_delay is over
    terminate_at: float = inf  # when the workers are told to stop
    terminating: bool = False  # they are told
    end: tuple[int, str] = (0, "")  # the exit code, and why
    last_failure: tuple[int, str] = (0, "")  # of a worker that is not replaced
    finished: bool = False

    def mark(self, slot: Slot) -> None:
        """Something happened to a slot: look at it."""
        self.agenda.mark(slot)

    def mark_service(self, service: Service) -> None:
        """Something happened to a service as a whole."""
        for slot in service.slots:
            self.mark(slot)

    def mark_all(self) -> None:
        """Something happened to everybody."""
        self.mark(self.strays)
        for record in self.generations.values():
            self.mark(record.slot)
        for service in self.services.values():
            self.mark_service(service)

    def born(self, slot: Slot, child: Child) -> None:
        """A child was forked."""
        self.children[child.pid] = child
        slot.children.append(child)
        self.mark(slot)

    def tell(self, level: str, text: str) -> None:
        """Have something said that a person should know."""
        self.news.append(Tell(level, text))
