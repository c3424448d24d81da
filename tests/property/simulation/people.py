"""What people, and programs that speak for them, want of a supervisor; and what else comes upon it from outside."""

from __future__ import annotations

from math import inf
from signal import Signals
from typing import TYPE_CHECKING, Any

from launcher.supervisor.settings import ServiceSpec

if TYPE_CHECKING:
    from tests.property.simulation.kernel import Process
    from tests.property.simulation.world import World

STRANGER = 4711000  # a PID that nobody has


class People:
    """What they want is done at the end of a turn; a method each."""

    def __init__(self, world: World) -> None:
        self.world, self.kernel, self.core = world, world.kernel, world.core
        self.wants: list[tuple[Any, ...]] = []

    def want(self, *command: Any) -> None:
        self.wants.append(command)

    def get_what_they_want(self) -> None:
        commands, self.wants = self.wants, []
        for command in commands:
            self._obey(command)

    def _obey(self, command: tuple[Any, ...]) -> None:
        kind, *details = command
        self.world.note("!", *command)
        getattr(self, kind)(*details)

    def burst(self, *commands: tuple[Any, ...]) -> None:
        for command in commands:
            self._obey(command)

    # Signals and requests

    def reload(self) -> None:
        generation = self.core.reload()
        self.world.rules.note_asked(generation)

    def scale(self, which: int, target: int) -> None:
        """`launcher scale`: of those that there are."""
        if names := [name for name, service in self.core.services.items() if service.version.workers]:
            self._scale(names[which % len(names)], target)

    def _scale(self, name: str, target: int) -> None:
        service, least = self.core.services.get(name), self.world.least
        if service and service.version.workers:
            self.core.scale(name, target)
            least[name] = min(target, least.get(name, target))
            self.world.rules.note_scaled(name, target)
            self.world.rules.expect(service.target == target, "scaled to something else")

    def more(self, by: int = 1) -> None:
        """TTIN and TTOU: the first service that there is."""
        for name, service in self.core.services.items():
            if service.version.workers:
                self._scale(name, max(service.target + by, 1))
                return

    def less(self) -> None:
        self.more(-1)

    def stop(self) -> None:
        world, now = self.world, self.kernel.now
        if not self.core.stopping:
            world.stop_asked_at = now
            serving = any(process.ready for process in self.kernel.processes.values() if process.spawn is not None)
            world.drained_at = now + world.policy.drain_delay if serving else now
        self.core.stop(now)

    def at_once(self) -> None:
        """A second INT, or QUIT."""
        self.stop()
        self.world.at_once = True
        self.core.stop_at_once(self.kernel.now)

    def pre_stop_ended(self) -> None:
        self.world.hook_until = min(self.world.hook_until, self.kernel.now)
        self.core.pre_stop_ended(self.kernel.now)

    def extend(self, name: str, workers: int) -> None:
        """The program calls `launch_service` once more."""
        world, schedule = self.world, self.world.schedule
        if schedule.forks_itself and world.loaded and not self.core.stopping:
            generation = max(world.loaded)
            if name not in {spec.name for spec in schedule.services(generation)}:
                schedule.extend(generation, ServiceSpec(name, workers, dumps_stacks=name != "tick"))
                self.core.prepared(generation, schedule.services(generation), world.policy, self.kernel.now)

    # What watches over workers

    def finds_blocked(self, process: Process) -> None:
        """Its heartbeat has stopped."""
        if process.known:
            self._finds_hung(process)

    def finds_hung(self, which: int) -> None:
        """It may be wrong, or late: it is heard of any child, and of others."""
        if (process := self._one(which)) is not None:
            self._finds_hung(process)
        self.core.hung(STRANGER, "a stranger", self.kernel.now)

    def _finds_hung(self, process: Process) -> None:
        if process.live and process.spawn is not None and not self.world.lost_spawn(process):
            self.world.lost[process.spawn.service] += 1
            process.hung = True
            if not self.core.stopping:
                self.world.rules.note_given_up(process)
        self.core.hung(process.pid, "no heartbeat", self.kernel.now)

    def retires(self, which: int) -> None:
        """It has served its share of requests, or has grown too big."""
        if (process := self._one(which)) is not None:
            process.retire_from = -inf
            process.retired = process.retired or (process.ready and process.spawn is not None)
            self.core.retire(process.pid, "max_requests", self.kernel.now)
        self.core.retire(STRANGER, "a stranger", self.kernel.now)

    def _one(self, which: int) -> Process | None:
        known = [process for process in self.kernel.processes.values() if process.known]
        return known[which % len(known)] if known else None

    # What comes upon it

    def oom(self) -> None:
        """The kernel kills whom it likes."""
        if victims := [process for process in self.kernel.processes.values() if process.alive]:
            self.kernel.die(self.world.random.choice(victims), -Signals.SIGKILL)

    def full(self, seconds: float) -> None:
        """Nobody can fork."""
        self.kernel.full_until = self.kernel.now + seconds

    def stall(self, seconds: float) -> None:
        """PID 1 itself does not get the processor."""
        end = self.kernel.now + seconds
        while self.kernel.next() <= end:
            self.kernel.now = self.kernel.next()
            self.kernel.step()
        self.kernel.now = end

    def strangers(self, count: int) -> None:
        """Orphans that it adopted die: that changes nothing."""
        before = self._state()
        for pid in range(STRANGER, STRANGER + count):
            self.core.exited(pid, 0, self.kernel.now)
            self.core.ready(pid, self.kernel.now)
        self.world.rules.expect(self._state() == before, "the death of a stranger changed something")

    def _state(self) -> object:
        state = self.core.state
        children = [(c.pid, c.stage, c.deadline) for c in state.children.values()]
        services = [(s.name, s.version, s.target, s.ready, s.failures) for s in state.services.values()]
        return children, services, list(state.generations), list(state.pending), list(state.news), state.end
