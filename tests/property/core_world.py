"""A scripted operating system for the core, and a clock that only moves when told to."""

from __future__ import annotations

from dataclasses import replace
from signal import Signals
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from launcher.supervisor.core import Core, exit_code
from launcher.supervisor.settings import Policy, ServiceSpec
from launcher.supervisor.state import (
    CloseListeners,
    Finish,
    Kill,
    Prepare,
    Reloaded,
    Remold,
    RunPreStop,
    Spawn,
    Stage,
    Tell,
)

if TYPE_CHECKING:
    from launcher.supervisor.state import Slot

POLICY = Policy(
    graceful_shutdown_timeout=3,
    abort_timeout=0.5,
    drain_delay=1,
    startup_timeout=5,
    backoff_min=0.5,
    backoff_max=4,
    crash_loop_threshold=6,
    crash_loop_window=6,
)
LIFETIME, PRE_STOP, READY_AFTER, REMOLD_AFTER = 40.0, 2.0, 2.0, 4.0
POLICIES = st.sampled_from(
    [
        POLICY,
        POLICY,
        replace(POLICY, max_worker_lifetime=LIFETIME, limit_jitter=0.5),
        replace(POLICY, pre_stop_timeout=PRE_STOP),
    ]
)
# Longest way from a stop to the end: hook, drain, grace, dump, and a mold that hangs as long.
STOP_BOUND = (
    PRE_STOP + POLICY.drain_delay + POLICY.startup_timeout + POLICY.graceful_shutdown_timeout + 2 * POLICY.abort_timeout
)
NAMES = ("api", "scheduler")


def often(usual: object, *others: object) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * (6 - len(others)) + [*others])


SPEC = st.builds(
    ServiceSpec,
    name=st.sampled_from(NAMES),
    workers=st.integers(1, 3),
    most=often(None, 4),
    restart=often("always", "on-failure", "never"),
    ready_after=often(None, READY_AFTER),
    remold_after=st.sampled_from([None, REMOLD_AFTER]),
)
SPECS = st.lists(SPEC, min_size=1, max_size=2, unique_by=lambda spec: spec.name)


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now, self.next_pid = 100.0, 1000
        self.alive: set[int] = set()
        self.molds: dict[int, int] = {}  # pid: generation
        self.specs: dict[int, list[ServiceSpec]] = {}  # what each generation says
        self.policy = POLICY
        self.holders: dict[int, int] = {}  # generation: the mold that is asked
        self.asked: list[Spawn] = []  # Spawns that are not answered yet
        self.asked_of: dict[int, int | None] = {}  # serial: the mold
        self.copies: dict[int, int] = {}  # molds that were forked by workers: those workers
        self.copying: list[Remold] = []  # not answered yet
        self.remolded: set[int] = set()  # generations whose mold is a copy, or was to be one in vain
        self.termed: dict[int, float] = {}
        self.aborted: dict[int, float] = {}
        self.killed: set[int] = set()
        self.served: set[int] = set()  # workers that were ever ready
        self.finish: list[Finish] = []
        self.told: list[str] = []
        self.awaited: set[int] = set()  # reloads of which nothing was told yet
        self.in_force: dict[str, int] = {}  # the newest generation that was told to be so
        self.forked: dict[int, float] = {}
        self.pre_stop_until: float | None = None  # the hook was asked for and is not over
        self.final_failure = 0  # code of the last worker that failed and is not replaced
        self.most_seats = 0
        self.some_ended_for_good = False
        self.kernel_is_slow = False  # a killed process may take its time: uninterruptible sleep
        self.got_ready: dict[str, set[int]] = {name: set() for name in NAMES}  # generations
        self.asked_to_stop = False
        self.had_to_be_killed = False
        self.listeners_open = True
        self.core = Core(POLICY, lambda: 0.5)

    @initialize(services=SPECS, policy=POLICIES, well=st.booleans())
    def starts(self, services: list[ServiceSpec], policy: Policy, well: bool) -> None:
        self.policy = policy
        self.perform()
        self.load(services)
        if well:
            self.all_goes_well()

    # The operating system

    def fork(self) -> int:
        self.next_pid += 1
        self.alive.add(self.next_pid)
        self.forked[self.next_pid] = self.now
        return self.next_pid

    def perform(self) -> None:  # noqa: C901 - one case for each action
        for _ in range(500):
            action = self.core.next_action(self.now)
            self.observe()
            if action is None:
                return
            assert not self.finish, f"{action} after Finish"
            match action:
                case Prepare(generation):
                    assert not self.core.stopping, "prepares while stopping"
                    pid = self.fork()
                    self.molds[pid] = generation
                    self.core.prepare_started(generation, pid, self.now)
                case Spawn():
                    assert not self.core.stopping, "spawns while stopping"
                    assert self.core.generations[action.generation].prepared, "spawns from nothing"
                    slot = self.core.services[action.service].slots[action.slot]
                    assert slot in slot.service.open, "spawns into a slot that is closed"
                    assert not slot.over, "spawns again what has ended for good"
                    self.asked.append(action)
                    self.asked_of[action.serial] = self.holders.get(action.generation)
                case Remold():
                    self.check_remold(action)
                    self.copying.append(action)
                case Kill():
                    self.check_kill(action)
                case CloseListeners():
                    assert self.listeners_open
                    assert self.core.stopping
                    self.listeners_open = False
                case Tell(_, text):
                    self.told.append(text)
                case Reloaded(generation, error):
                    self.awaited.remove(generation)  # exactly once
                    if not error:
                        self.check_in_force(generation)
                case RunPreStop():
                    assert self.asked_to_stop, "the hook runs unasked"
                    assert self.pre_stop_until is None, "the hook runs twice"
                    self.pre_stop_until = self.now + self.policy.pre_stop_timeout
                case Finish():
                    assert not self.alive - self.unheard(), "finished with children left"
                    self.finish.append(action)
        raise AssertionError("the core never settles")

    def check_remold(self, remold: Remold) -> None:
        core, worker = self.core, self.core.children[remold.pid]
        service = worker.slot.service
        assert not core.stopping, "copies a worker while stopping"
        assert core.requested is None, "copies a worker while a reload is on its way"
        assert core.state.rollout is None, "copies a worker while a generation is not in force"
        assert worker.stage is Stage.READY, "copies a worker that does not serve"
        assert not worker.retiring, "copies a worker that is to end"
        assert service, "copies a mold"
        assert service.version.generation == remold.generation == worker.generation, "copies what is outdated"
        assert self.now >= worker.since + REMOLD_AFTER, "copies a worker that is cold"
        assert core.children[self.holders[remold.generation]].stage is Stage.READY, "copies a worker without a mold"
        assert remold.generation not in self.remolded, "copies a worker of a generation twice"

    def seats(self) -> list[int]:
        core = self.core
        seats = [child.seat for child in core.children.values() if child.seat >= 0]
        seats += [slot.pending.seat for slot in core.state.pending.values() if isinstance(slot.pending, Spawn)]
        return seats + list(core.state.lost.values())

    def observe(self) -> None:
        """Some count as ready without saying so."""
        self.most_seats = max(self.most_seats, len(self.seats()))
        self.some_ended_for_good |= any(service.over for service in self.core.services.values())
        for child in self.core.children.values():
            if child.stage is Stage.READY and child.slot.service and child.pid not in self.served:
                self.served.add(child.pid)
                self.got_ready[child.slot.service.name].add(child.generation)

    def check_in_force(self, generation: int) -> None:
        for spec in self.specs[generation]:
            service = self.core.services[spec.name]
            assert service.version.generation == generation, "told to be in force, and is not"
            shown = generation in self.got_ready[spec.name]
            assert shown or service.idle or service.over, "told to be ready, and never was"
            self.got_ready[spec.name].add(generation)
            self.in_force[spec.name] = generation
        for service in self.core.services.values():
            assert service.version.generation == generation or not service.version.workers, "is dropped, and stays"

    def unheard(self) -> set[int]:
        """Children that the core cannot know of yet."""
        return self.alive - self.core.children.keys()

    def check_kill(self, kill: Kill) -> None:
        pid = kill.pid
        assert pid in self.alive, "signals a process that is gone"
        match kill.signum:
            case Signals.SIGTERM:
                assert pid not in self.termed, "TERM twice"
                self.check_replaced(pid)
                self.check_pre_stop(pid)
                self.termed[pid] = self.now
            case Signals.SIGABRT:
                assert pid not in self.aborted, "ABRT twice"
                if pid in self.termed:
                    assert self.now >= self.termed[pid] + POLICY.graceful_shutdown_timeout, (
                        "ABRT before the grace is over"
                    )
                self.aborted[pid] = self.now
                self.note_end(self.core.children[pid].slot, 134)
            case Signals.SIGKILL:
                assert pid not in self.killed, "KILL twice"
                assert pid in self.termed or pid in self.aborted, "KILL out of the blue"
                if pid in self.aborted and not self.core.state.at_once:
                    assert self.now >= self.aborted[pid] + POLICY.abort_timeout, "KILL before the stacks were written"
                self.killed.add(pid)
            case other:
                raise AssertionError(f"unexpected signal {other}")

    def check_replaced(self, pid: int) -> None:
        child = self.core.children[pid]
        service = child.slot.service
        if pid in self.served and service and not self.core.stopping and child.slot.open:
            assert child.slot.serving(), "a serving worker is stopped before its replacement is ready"

    def check_pre_stop(self, pid: int) -> None:
        if self.pre_stop_until is not None and self.now < self.pre_stop_until and not self.core.state.at_once:
            slot = self.core.children[pid].slot
            needed = pid in self.served and slot.open and not slot.serving()
            assert not needed, "TERM while the hook runs"

    def note_end(self, slot: Slot, code: int) -> None:
        """A worker ended unasked: if it was for good, its code may be the whole's."""
        if slot.service and slot.over and code:
            self.final_failure = code

    def dies(self, pid: int, status: int) -> None:
        child = self.core.children[pid]
        service = child.slot.service
        others = [c for slot in service.slots for c in slot.children if c is not child] if service else []
        still_serving = [c for c in others if c.stage is Stage.READY]
        was_stopping = self.core.stopping
        if was_stopping and service and pid in self.termed and pid in self.aborted.keys() | self.killed:
            self.had_to_be_killed = True
        self.alive.discard(pid)
        generation = self.molds.pop(pid, None)
        if generation is not None and self.holders.get(generation) == pid:
            del self.holders[generation]
        self.asked = [spawn for spawn in self.asked if generation is None or self.asked_of[spawn.serial] != pid]
        given_up = child.failed or child.asked
        self.core.exited(pid, status, self.now)
        if not (was_stopping or given_up):
            self.note_end(child.slot, exit_code(status))
        self.perform()
        if self.core.stopping and not was_stopping:
            assert not still_serving, "gave up while something of the service serves"

    def loading(self) -> list[int]:
        known = self.core.children
        molds = self.molds.keys() - self.copies.keys()
        return [pid for pid in molds if pid in known and known[pid].stage is Stage.STARTING]

    def copies_that_start(self) -> list[int]:
        known, strays = self.core.children, self.core.state.strays
        starting = (pid for pid in sorted(self.copies) if pid in known and known[pid].stage is Stage.STARTING)
        return [pid for pid in starting if known[pid].slot is not strays]

    def load(self, services: list[ServiceSpec]) -> None:
        """The newest mold has read the configuration."""
        pid = max(self.loading())
        generation = self.molds[pid]
        wanted = self.specs.setdefault(generation, services)
        self.core.prepared(generation, wanted, self.policy, self.now)
        self.holders[generation] = pid
        self.perform()

    def workers(self, *stages: Stage) -> list[int]:
        return sorted(
            c.pid for c in self.core.children.values() if c.slot.service and (not stages or c.stage in stages)
        )

    def ending(self) -> list[int]:
        stages = (Stage.STOPPING, Stage.ABORTED, Stage.KILLED)
        return [c.pid for c in self.core.children.values() if c.stage in stages]

    def gets_ready(self, pid: int) -> None:
        child = self.core.children[pid]
        assert child.slot.service
        self.core.ready(pid, self.now)
        self.perform()

    def copy_gets_ready(self, pid: int) -> None:
        generation, serving = self.molds[pid], self.workers(Stage.READY)
        self.core.ready(pid, self.now)
        if not self.core.stopping:
            assert self.core.children[pid].stage is Stage.READY
            assert self.core.generations[generation].prepared
            self.holders[generation] = pid
            self.remolded.add(generation)
        self.perform()
        assert self.workers(Stage.READY) == serving, "a new mold touched workers"

    def request_stop(self) -> None:
        self.asked_to_stop = self.asked_to_stop or not self.core.stopping
        self.core.stop(self.now)
        self.perform()

    def reap_killed(self) -> None:
        if self.kernel_is_slow:
            return
        for pid in sorted(self.killed & self.alive):  # the kernel keeps its promise
            self.dies(pid, -9)

    def state(self) -> object:
        core = self.core
        slots = [slot for service in core.services.values() for slot in service.slots]
        slots += [record.slot for record in core.generations.values()]
        return (
            [(c.pid, c.stage, c.deadline, c.retiring, c.remold_at) for c in core.children.values()],
            [(s.index, s.pending, s.failures, s.not_before, s.throttled, s.pending_until) for s in slots],
            [
                (s.target, s.version, s.ready, s.failures, s.turn and s.turn.index, len(s.queue))
                for s in core.services.values()
            ],
            [(number, record.prepared, len(record.waiting)) for number, record in core.generations.items()],
            (core.stopping, core.state.terminating, core.state.finished, core.requested, list(core.state.news)),
        )
