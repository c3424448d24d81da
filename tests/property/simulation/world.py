"""A core and its world: a turn of the loop after the other, as loop.py takes them, until all is over.

In a turn the dead are collected first, then everything is heard that they or others have said, then
their ends are told, then what people want; then the core acts.  That is all that loop.py promises; how
much falls into one turn is left to chance.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from signal import Signals
from typing import TYPE_CHECKING, Any

from launcher.supervisor.core import Core
from launcher.supervisor.state import CloseListeners, Finish, Kill, Prepare, Reloaded, RunPreStop, Spawn, Tell
from tests.property.simulation.kernel import Kernel
from tests.property.simulation.people import People
from tests.property.simulation.rules import Rules

if TYPE_CHECKING:
    from launcher.supervisor.state import Action
    from tests.property.simulation.kernel import Process
    from tests.property.simulation.schedule import Schedule

PATIENCE = 300.0  # seconds from the calm until everything must be as it shall be
SETTLES = 40.0  # seconds that everything may take to be as it shall be, where workers have a lifetime
LOST = Spawn("", -1, 0, 0, -1)  # of a worker that was born when its mold had been given up for lost


class World:
    """One schedule, played against one core."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.random = schedule.random
        self.kernel = Kernel(schedule.pids)
        self.core = Core(schedule.policy, schedule.chance)
        self.policy = schedule.policy  # that holds now
        self.loaded: dict[int, Process | None] = {}  # generation: the mold that holds it, as far as the core knows
        self.pending: dict[int, Spawn] = {}  # serial: not answered yet
        self.forsaken: set[int] = set()  # serial: whose mold died before it answered
        self.asked_at: dict[int, float] = {}
        self.people = People(self)
        self.least: dict[str, int] = {}  # service: the lowest target of this turn
        self.lost: Counter[str] = Counter()  # service: workers, and some awaited, that were lost in this turn
        self.listeners_closed = False
        self.at_once = False
        self.stop_asked_at = inf
        self.drained_at = inf  # drain_delay is over
        self.hook_until = -inf  # pre_stop runs
        self.must_end_by = inf
        self.rest_by = inf
        self.finish: Finish | None = None
        self.trace: list[tuple[Any, ...]] = []
        self.rules = Rules(self)
        for delay, command in schedule.commands:
            self.kernel.at(delay, self.people.want, *command)
        if schedule.calms_down:
            self.kernel.at(schedule.length, self._calm_down)

    def run(self) -> None:
        """Play it to its end.  Raises AssertionError."""
        self.act()
        while not self.finish:
            if self.kernel.calm and self.kernel.now >= self.rest_by:
                self._is_as_it_shall_be()
            elif min(self.core.deadline(), self._next_event()) == inf:
                self._is_quiet()
            else:
                self._go_on()

    def _go_on(self) -> None:
        """Sleep until something happens or is due."""
        due, event = self.core.deadline(), self._next_event()
        self.kernel.now = max(self.kernel.now, min(due, event))
        self.rules.check_woken_for_something(self._turn(), by_itself=due < event)

    def _next_event(self) -> float:
        return self.kernel.now if self.people.wants or self.kernel.waiting() else self.kernel.next()

    def story(self) -> str:
        """All that happened, a line each, the time in front."""
        return "\n".join(f"{when - 100:7.2f} {' '.join(map(str, what))}" for when, *what in self.trace)

    def note(self, *what: Any) -> None:
        self.trace.append((self.kernel.now, *what))

    # A turn

    def _turn(self) -> int:
        kernel = self.kernel
        kernel.step()
        while kernel.next() <= kernel.now and self.random.random() < 0.8:
            kernel.step()
        dead = kernel.collect()
        if kernel.next() <= kernel.now and self.random.random() < 0.3:
            kernel.step()  # between collecting and hearing
        self.least.clear()
        self.lost.clear()
        while kernel.said:
            word, *about = kernel.said.popleft()
            getattr(self, f"_hear_{word}")(*about)
        for process in dead:
            self._bury(process)
        self.people.get_what_they_want()
        return self.act()

    def act(self) -> int:
        count = 0
        self._age()
        while (action := self.core.next_action(self.kernel.now)) is not None:
            count += 1
            self.rules.expect(not self.finish, f"{action} after Finish")
            self.rules.expect(count <= 30 + 10 * len(self.core.children), "it never settles")
            self.note("   ->", action)
            self._perform(action)
        self.rules.check_settled()
        if self.schedule.audited and not self.finish:
            self._audit()
        return count

    def _age(self) -> None:
        """Those that say nothing are ready when their time has come."""
        for process in self.kernel.processes.values():
            if process.comes_of_age <= self.kernel.now and process.live and process.ready_at == inf:
                self.rules.note_ready(process)

    def _audit(self) -> None:
        """Let it look at everything: it must not find what it had forgotten to look at."""
        self.core.state.mark_all()
        action = self.core.next_action(self.kernel.now)
        self.rules.expect(action is None, f"{action} was overlooked")

    def _perform(self, action: Action) -> None:
        match action:
            case Prepare(generation):
                self._prepare(generation)
            case Spawn():
                self._spawn(action)
                self._age()
            case Kill(pid, signum):
                self._kill(action, self.kernel.processes.get(pid), signum)
            case CloseListeners():
                self.rules.check_close()
                self.listeners_closed = True
            case RunPreStop():
                self.rules.check_pre_stop()
                self.hook_until = self.kernel.now + self.policy.pre_stop_timeout
                self.kernel.at(self.schedule.hook(), self.people.want, "pre_stop_ended")
            case Tell(level, _):
                self.rules.note_told(level)
            case Reloaded():
                self.rules.check_reloaded(action)
            case Finish():
                self.rules.check_finish(action)
                self.finish = action
        if self.core.stopping and self.must_end_by == inf:
            self.must_end_by = self._end_of_a_stop()

    def _end_of_a_stop(self) -> float:
        """The longest way: drain, then grace, stacks and death, of a mold and of what it bore last."""
        longest = max(self.policy.graceful_shutdown_timeout, self.schedule.policy.graceful_shutdown_timeout)
        one = longest + self.policy.abort_timeout + 4.0
        unanswered = self.policy.startup_timeout if self.policy.molds_stay else 0.0
        drain = max(self.policy.drain_delay, self.policy.pre_stop_timeout)
        return self.kernel.now + drain + unanswered + 3 * one + 4.0

    # What the core asks for

    def _prepare(self, generation: int) -> None:
        kernel, schedule = self.kernel, self.schedule
        self.rules.expect(not self.core.stopping, "a mold after stop")
        self.rules.check_not_hasty(generation)
        if schedule.forks_itself:
            self._load(generation, None)
        elif kernel.now < kernel.full_until:
            self.core.prepare_deferred(generation, "cannot fork the mold: EAGAIN", kernel.now)
        else:
            mold = kernel.fork(schedule.mold(kernel.now), generation)
            self.note("mold", mold.pid, mold.nature)
            mold.known, mold.startup_ends = True, kernel.now + self.policy.startup_timeout
            if self.random.random() < 0.3:
                kernel.at(0.25, kernel.said.append, ("loading", mold, self.random.choice((4.0, 8.0))))
            self.core.prepare_started(generation, mold.pid, kernel.now)

    def _spawn(self, spawn: Spawn) -> None:
        kernel, mold = self.kernel, self.loaded.get(spawn.generation)
        self.rules.check_spawn(spawn)
        self.pending[spawn.serial] = spawn
        self.asked_at[spawn.serial] = kernel.now
        if self.schedule.forks_itself:
            if kernel.now < kernel.full_until:
                self._hear_fork_failed(spawn)
            else:
                self._hear_born(spawn, kernel.fork(self.schedule.worker(kernel.now), spawn.generation, spawn))
        elif mold is None or not mold.alive:  # its channel is closed, and its death not told yet
            self._hear_fork_failed(spawn)
        else:
            kernel.request(mold, spawn, lambda: self.schedule.worker(kernel.now))

    def _kill(self, kill: Kill, process: Process | None, signum: Signals) -> None:
        now = self.kernel.now
        self.rules.check_kill(kill, process)
        match signum:
            case Signals.SIGTERM:
                process.termed = now
                process.grace_ends = now + self._grace(process)
            case Signals.SIGABRT:
                process.aborted = now
            case Signals.SIGKILL:
                process.killed = now
        self.kernel.kill(process, signum)

    # What it is told

    def _hear_loading(self, mold: Process, patience: float) -> None:
        self.note("loading", mold.pid, patience)
        if mold.live and mold.ready_at == inf:
            mold.startup_ends = mold.born + patience
        self.core.loading(mold.generation, patience)

    def _hear_loaded(self, mold: Process) -> None:
        self._load(mold.generation, mold)

    def _load(self, generation: int, mold: Process | None) -> None:
        specs, policy = self.schedule.services(generation), self.schedule.policy_of(generation)
        self.note("loaded", generation, *specs)
        in_time = mold is None or (mold.live and generation in self.core.generations)
        wanted = self.core.requested
        self.core.prepared(generation, specs, policy, self.kernel.now)
        if in_time and not self.core.stopping:
            self.loaded[generation] = mold
            if mold is not None:
                mold.ready_at = self.kernel.now
            if wanted == generation:
                self.policy = policy
                self.rules.note_adopted(generation)

    def _hear_refused(self, mold: Process) -> None:
        self.note("refused", mold.generation, mold.nature.refuses)
        self.rules.codes.add(mold.nature.refuses)
        if mold.live and mold.ready_at == inf and mold.generation in self.core.generations:
            mold.termed = self.kernel.now  # as good as
            mold.grace_ends = self.kernel.now + self._grace(mold)
        self.core.prepare_failed(mold.generation, mold.nature.refuses, "no such module", self.kernel.now)

    def _hear_born(self, spawn: Spawn, process: Process) -> None:
        self.note("born", process.pid, spawn.serial, process.nature)
        now, process.known = self.kernel.now, True
        if self.pending.pop(spawn.serial, None) is None:
            process.spawn = LOST
        elif self._is_current(spawn) and (patience := self.schedule.spec(spawn).ready_after) is not None:
            process.comes_of_age = now + patience
        else:
            process.startup_ends = now + self.policy.startup_timeout
        process.mute = not self.lost_spawn(process) and not self._dumps_stacks(spawn.service)
        process.retire_from = now + self.schedule.least_lifetime(self.policy)
        if process.nature.deaf_after < inf and self.random.random() < 0.5:
            self.kernel.at(process.nature.deaf_after + 2.0, self.people.want, "finds_blocked", process)
        self.core.spawned(spawn.serial, process.pid, self.kernel.now)

    def _hear_fork_failed(self, spawn: Spawn) -> None:
        self.note("fork failed", spawn.serial)
        self.pending.pop(spawn.serial, None)
        self.core.spawn_failed(spawn.serial, "EAGAIN", self.kernel.now)

    def _hear_ready(self, process: Process) -> None:
        self.note("ready", process.pid)
        if process.live and process.ready_at == inf and not self.lost_spawn(process):
            self.rules.note_ready(process)
        self.core.ready(process.pid, self.kernel.now)
        for name, service in self.core.services.items():  # some may be dropped now
            self.least[name] = min(service.target, self.least.get(name, service.target))

    def _bury(self, process: Process) -> None:
        self.note("ended", process.pid, process.status)
        core, was_stopping = self.core, self.core.stopping
        self.rules.note_death(process)
        if process.spawn is not None:
            self.lost[process.spawn.service] += process.live
        process.known = False
        self.kernel.free(process)
        if process.spawn is None:
            self.loaded.pop(process.generation, None) if self.loaded.get(process.generation) is process else None
            lost = [spawn for spawn in self.pending.values() if spawn.generation == process.generation]
            self.forsaken |= {spawn.serial for spawn in lost}
            for spawn in lost:
                self.lost[spawn.service] += 1
                del self.pending[spawn.serial]
        core.exited(process.pid, process.status, self.kernel.now)
        if core.stopping and not was_stopping:
            self.rules.check_gave_up(process)

    # Calm, and the end

    def _calm_down(self) -> None:
        self.note("!", "calm")
        self.schedule.calm_down()
        self.kernel.calm, self.kernel.full_until = True, 0.0
        self.rest_by = self.kernel.now + (SETTLES if self.schedule.has_lifetimes else PATIENCE)

    def _is_quiet(self) -> None:
        """Nothing happens any more, and nothing is due."""
        self.rules.expect(self.kernel.calm and not self.core.stopping, "it hangs")
        self.rules.check_converged()
        self.people.stop()
        self.act()

    def _is_as_it_shall_be(self) -> None:
        """Where workers are replaced for ever, there is a moment again and again in which nothing is under way."""
        self.rules.expect(self.schedule.has_lifetimes, "the world is good, and it does not come to rest")
        try:
            self.rules.check_converged()
        except AssertionError:
            self.rules.expect(self.kernel.now < self.rest_by + PATIENCE, "it never is as it shall be")
            self._go_on()
        else:
            self.rest_by = inf
            self.people.stop()
            self.act()

    # Questions

    def _grace(self, process: Process) -> float:
        policy = self.policy
        if self.at_once:
            return 0.0
        patience = policy.graceful_shutdown_timeout
        return min(patience, policy.mold_timeout) if policy.molds_stay and process.spawn is None else patience

    def _dumps_stacks(self, name: str) -> bool:
        return self.core.services[name].version.spec.dumps_stacks

    def _is_current(self, spawn: Spawn) -> bool:
        """Whether nothing has taken the place of what it was asked for."""
        return self.core.services[spawn.service].version.generation == spawn.generation

    def workers_of(self, name: str) -> list[Process]:
        """Those that the core knows and that were not reaped."""
        processes = self.kernel.processes.values()
        return [p for p in processes if p.known and p.spawn is not None and p.spawn.service == name]

    def lost_spawn(self, process: Process) -> bool:
        """Whether it was born when its mold had been given up for lost."""
        return process.spawn is LOST

    def overdue(self, mold: Process) -> bool:
        """Whether it owes an answer."""
        waits = [self.asked_at[s.serial] for s in self.pending.values() if s.generation == mold.generation]
        return bool(waits) and self.kernel.now >= min(waits) + self.policy.startup_timeout
