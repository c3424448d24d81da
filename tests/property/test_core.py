"""The core against a scripted operating system and a clock that only moves when told to.

Each rule is something that can happen to a supervisor.  After each, `perform` does what the core asks
for as the OS layer would; the asserts there and the invariants are the rules that design.md promises.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from launcher.supervisor.settings import ServiceSpec
from launcher.supervisor.state import LIVE, Spawn, Stage
from tests.property.core_world import LIFETIME, NAMES, SPECS, STOP_BOUND, World

if TYPE_CHECKING:
    from launcher.supervisor.state import Finish


class Happens(World):
    """What can happen."""

    @precondition(lambda self: self.loading())
    @rule(services=SPECS)
    def mold_loads(self, services: list[ServiceSpec]) -> None:
        self.load(services)

    @precondition(lambda self: self.loading())
    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0]))
    def mold_reads_how_long_it_may_take(self, seconds: float) -> None:
        pid = max(self.loading())
        self.core.loading(self.molds[pid], seconds)
        self.perform()

    @precondition(lambda self: self.loading())
    @rule(code=st.sampled_from([1, 78, -9]))
    def mold_refuses(self, code: int) -> None:
        pid = max(self.loading())
        first = not self.core.services
        serving = self.workers(Stage.READY)
        self.core.prepare_failed(self.molds[pid], code, "no such module", self.now)
        self.perform()
        if not first:
            assert self.core.stopping or self.workers(Stage.READY) == serving, "a refused reload touched workers"
        self.dies(pid, code)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), count=st.integers(1, 4))
    def forks(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.asked))):
            spawn = self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1)))
            self.core.spawned(spawn.serial, self.fork(), self.now)
            self.perform()

    @precondition(lambda self: self.asked)
    @rule()
    def fork_fails(self) -> None:
        self.core.spawn_failed(self.asked.pop(0).serial, "EAGAIN", self.now)
        self.perform()

    @precondition(lambda self: self.workers(Stage.STARTING))
    @rule(data=st.data(), count=st.integers(1, 4))
    def get_ready(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            if starting := self.workers(Stage.STARTING):
                pid = data.draw(st.sampled_from(starting))
                self.gets_ready(pid)

    @rule()
    def all_goes_well(self) -> None:
        """Everything that is on its way arrives."""
        for _ in range(200):
            if self.loading():
                self.load([ServiceSpec("api", 2)])
            elif self.asked:
                self.core.spawned(self.asked.pop(0).serial, self.fork(), self.now)
                self.perform()
            elif starting := self.workers(Stage.STARTING):
                self.gets_ready(starting[0])
            elif self.copying and not self.finish:
                self.copy_is_born()
            elif copies := self.copies_that_start():
                self.copy_gets_ready(copies[0])
            elif ending := self.ending():
                self.dies(ending[0], 0)
            else:
                return
        raise AssertionError("it never settles, though all goes well")

    @precondition(lambda self: self.copying and not self.finish)
    @rule()
    def copy_is_born(self) -> None:
        remold = self.copying.pop(0)
        pid = self.fork()
        self.molds[pid] = remold.generation
        self.copies[pid] = remold.pid
        self.core.spawned(remold.serial, pid, self.now)
        self.perform()

    @precondition(lambda self: self.copying and not self.finish)
    @rule(put_off=st.booleans())
    def copy_fails(self, put_off: bool) -> None:
        remold, before = self.copying.pop(0), self.workers(Stage.READY)
        if put_off:
            self.core.remold_put_off(remold.serial, self.now)
        else:
            self.core.spawn_failed(remold.serial, "it has threads", self.now)
        self.perform()
        assert self.workers(Stage.READY) == before, "a copy that fails touched workers"

    @precondition(lambda self: self.copies_that_start())
    @rule()
    def a_copy_gets_ready(self) -> None:
        self.copy_gets_ready(self.copies_that_start()[0])

    @precondition(lambda self: self.workers())
    @rule(data=st.data(), status=st.sampled_from([0, 1, 78, -9, -11]))
    def worker_dies(self, data: st.DataObject, status: int) -> None:
        pid = data.draw(st.sampled_from(self.workers()))
        child = self.core.children[pid]
        service = child.slot.service
        assert service
        ready = self.got_ready[service.name]
        unproven = (
            pid not in self.termed
            and pid not in self.aborted
            and child.generation == service.version.generation
            and child.generation not in ready
        )
        self.dies(pid, status)
        if child.slot.over:
            assert service.version.spec.restart == "never" or (service.version.spec.restart, status) == (
                "on-failure",
                0,
            )
        elif ready and unproven and not self.core.stopping:
            back = service.version.generation in ready or not service.version.workers  # or to not being there
            assert back, "a reload that fails is not abandoned"

    @precondition(lambda self: self.workers(Stage.STOPPING, Stage.ABORTED, Stage.KILLED))
    @rule()
    def all_that_were_asked_end(self) -> None:
        for pid in self.workers(Stage.STOPPING, Stage.ABORTED, Stage.KILLED):
            self.dies(pid, 0 if pid not in self.killed else -9)

    @precondition(lambda self: self.workers(*LIVE))
    @rule(data=st.data())
    def worker_hangs(self, data: st.DataObject) -> None:
        pid = data.draw(st.sampled_from(self.workers(*LIVE)))
        self.core.hung(pid, "no sign of life", self.now)
        self.perform()
        assert pid in self.aborted or self.core.state.at_once, "a worker that hangs is left alone"

    @precondition(lambda self: self.workers(Stage.READY))
    @rule(data=st.data(), count=st.integers(1, 3))
    def workers_are_retired(self, data: st.DataObject, count: int) -> None:
        serving = self.workers(Stage.READY)
        for _ in range(count):
            self.core.retire(data.draw(st.sampled_from(serving)), "worn out", self.now)
        self.perform()
        assert self.workers(Stage.READY) == serving, "a retired worker leaves before it is replaced"

    @precondition(lambda self: self.molds)
    @rule(data=st.data())
    def mold_dies(self, data: st.DataObject) -> None:
        pid = data.draw(st.sampled_from(sorted(self.molds)))
        before = self.workers(Stage.READY)
        generation = self.molds[pid]
        lost = [spawn for spawn in self.asked if self.asked_of[spawn.serial] == pid]
        spare = pid in self.copies and generation in self.holders and self.holders[generation] != pid
        self.dies(pid, -9)
        if spare and not self.core.stopping and generation in self.core.generations:
            assert self.core.generations[generation].prepared, "a copy that fails takes the mold with it"
        if not self.core.stopping:
            assert self.workers(Stage.READY) == before, "a lost mold touched workers"
        for spawn in lost[: not self.finish]:  # it had forked before it died, and the news comes late
            self.core.spawned(spawn.serial, self.fork(), self.now)
            self.perform()

    @rule(pid=st.integers(2, 900), status=st.integers(-9, 9))
    def orphan_dies(self, pid: int, status: int) -> None:
        before = self.state()
        self.core.exited(pid, status, self.now)
        self.core.ready(pid, self.now)
        assert self.state() == before, "an orphan changed the state"

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 4))
    def scale(self, name: str, count: int) -> None:
        service = self.core.services.get(name)
        if service and service.version.workers:  # else it was dropped by a reload
            open_before = set(service.open)
            self.core.scale(name, count)
            closed = open_before - set(service.open)
            empty = [slot for slot in service.open if not (slot.children or slot.pending)]
            assert not (empty and any(slot.serving() for slot in closed)), "who serves leaves, and nobody stays"
            self.perform()

    @rule()
    def reload(self) -> None:
        if self.core.stopping:
            before = self.state()
            assert self.core.reload() == 0
            assert self.state() == before, "a reload while stopping"
            return
        serving = self.workers(Stage.READY)
        self.awaited.add(self.core.reload())
        self.perform()
        assert self.workers(Stage.READY) == serving, "a reload stopped a worker at once"

    @precondition(lambda self: not self.core.stopping)
    @rule(sure=st.integers(0, 9))
    def stop(self, sure: int) -> None:
        if sure == 0:  # rare, or every run would be over soon
            self.request_stop()

    @precondition(lambda self: self.core.stopping)
    @rule()
    def stop_at_once(self) -> None:
        self.core.stop_at_once(self.now)
        self.perform()

    @precondition(lambda self: self.pre_stop_until is not None)
    @rule()
    def pre_stop_ends(self) -> None:
        self.pre_stop_until = self.now
        self.core.pre_stop_ended(self.now)
        self.perform()

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        self.reap_killed()
        while (due := self.core.deadline()) <= end:
            before = self.state()
            self.now = max(self.now, due)
            self.perform()
            assert self.state() != before, "nothing to do at the deadline: a busy loop"
            self.reap_killed()
        self.now = end

    @rule()
    def kernel_changes_pace(self) -> None:
        self.kernel_is_slow = not self.kernel_is_slow


class Promises(Happens):
    """What always holds."""

    @invariant()
    def agrees_with_the_os(self) -> None:
        assert self.core.children.keys() == self.alive

    @invariant()
    def never_too_many(self) -> None:
        for service in self.core.services.values():
            slots = service.open
            live = sum(len(slot.live()) + isinstance(slot.pending, Spawn) for slot in slots)
            assert live <= service.target + 1, f"{service.name}: more than one surplus worker"

    @invariant()
    def counts_are_right(self) -> None:
        for service in self.core.services.values():
            ready = sum(c.stage is Stage.READY for slot in service.slots for c in slot.children)
            assert service.ready == ready

    @invariant()
    def nobody_overstays(self) -> None:
        for child in self.core.children.values():
            assert child.deadline >= self.now or child.stage is Stage.KILLED
            starting = child.stage is Stage.STARTING
            assert not starting or child.ready_at > self.now, "alive for long enough, and does not count"
            if child.stage is Stage.READY and child.slot.service and self.policy.max_worker_lifetime:
                young = self.now < self.forked[child.pid] + 0.75 * LIFETIME
                assert young or child.retiring or self.core.stopping, "too old, and stays"

    @invariant()
    def seats_are_unique_and_few(self) -> None:
        seats = self.seats()
        assert len(set(seats)) == len(seats), "two on one seat"
        assert all(seat < self.most_seats for seat in seats), "a free seat is passed over"

    @invariant()
    def each_reload_is_told_of(self) -> None:
        core = self.core
        underway = {core.requested, core.state.rollout and core.state.rollout.generation}
        assert self.awaited == underway - {None, 1}

    @invariant()
    def what_is_in_force_stays(self) -> None:
        for name, generation in self.in_force.items():
            assert self.core.services[name].version.generation >= generation, "fell back behind what was in force"

    @invariant()
    def who_has_ended_for_good_is_counted(self) -> None:
        for service in self.core.services.values():
            over = [slot for slot in service.slots if slot.over]
            assert len(over) == service.over
            for slot in over:
                assert slot.open
                assert not slot.live(), "works on after the end"
                assert service.version.spec.restart != "always"

    @invariant()
    def nobody_is_kept_for_nothing(self) -> None:
        """A mold lives while its generation is wanted, and no longer."""
        for pid, generation in self.molds.items():
            if pid in self.core.children and self.core.children[pid].stage in LIVE:
                services = self.core.services.values()
                wanted = {v.generation for s in services for v in (s.version, s.proven) if v and v.workers}
                assert generation in wanted | {self.core.requested}

    @invariant()
    def idle_means_satisfied(self) -> None:
        """If the core waits for nothing and nobody, but for somebody to grow old, then all it wants is there."""
        oldest = min((c.retire_at for c in self.core.children.values() if not c.retiring), default=inf)
        if (
            self.core.stopping
            or self.asked
            or self.copying
            or self.core.deadline() < oldest
            or any(c.stage is not Stage.READY for c in self.core.children.values())
        ):
            return
        for service in self.core.services.values():
            assert service.ready == service.target - service.over
            generations = {c.generation for slot in service.slots for c in slot.children}
            assert generations <= {service.version.generation}, "an outdated worker is kept for nothing"

    @invariant()
    def one_mold_a_generation_in_use(self) -> None:
        children = self.core.children
        ready = [self.molds[pid] for pid in self.molds if children[pid].stage is Stage.READY]
        assert len(ready) == len(set(ready)), "two molds of a generation"
        starting = [self.molds[pid] for pid in self.molds if children[pid].stage is Stage.STARTING]
        assert len(starting) == len(set(starting)), "two molds of a generation on their way"

    def teardown(self) -> None:
        """Whatever happened: a stop ends in bounded time, even if no child obeys."""
        self.request_stop()
        self.kernel_is_slow = False
        for spawn in self.asked if not self.finish else []:  # answers that were on their way
            self.core.spawned(spawn.serial, self.fork(), self.now)
            self.perform()
        while self.copying and not self.finish:
            self.copy_is_born()
        self.time_passes(STOP_BOUND)
        assert len(self.finish) == 1, "did not finish"
        assert not self.awaited, "a reload that nothing was told of"
        self.the_code_is_honest(self.finish[0])

    def the_code_is_honest(self, finish: Finish) -> None:
        assert finish.code == 0 or finish.reason, "an abnormal end without a reason"
        if self.asked_to_stop:
            assert finish.code == (137 if self.had_to_be_killed else 0)
        elif self.some_ended_for_good:
            assert finish.code or not self.final_failure
        else:
            assert finish.code, "it gave up, and says that all is well"


Promises.TestCase.settings = settings(
    max_examples=600,
    report_multiple_bugs=False,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCore = Promises.TestCase
pytestmark = pytest.mark.timeout(600)  # one test, many examples
