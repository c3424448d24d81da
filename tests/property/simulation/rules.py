"""What a core must keep to, whatever happens: design.md's invariants, checked at every action and after every turn.

Judged by what the core was told and by what it does; its own books are only compared with that.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from signal import Signals
from typing import TYPE_CHECKING

from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Finish, Kill, Reloaded, Slot, Spawn
    from tests.property.simulation.kernel import Process
    from tests.property.simulation.world import World

HASTE = 8  # times that one thing may be asked for in one instant
SURGE = 1  # live workers of a service beyond its target
TURN = 20.0  # seconds that a worker may wait for its replacement
UNLOADABLE, SOFTWARE, KILLED, ABORTED = 78, 70, 137, 134


class Rules:
    """What was seen of a world, as far as the rules ask for it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.core = world.core
        self.spawned_last: dict[str, int] = {}  # service: the generation of its last Spawn
        self.errors_then: dict[str, int] = {}  # and how many errors had been told by then
        self.errors = 0
        self.codes = {SOFTWARE, UNLOADABLE, ABORTED}  # with which it may give up
        self.killed_in_stop = False
        self.idle_wakes = 0
        self.asked: dict[int, str | None] = {}  # reloads, and what became of them
        self.in_force: dict[str, int] = {}  # service: the generation that was told to be in force
        self.was_ready: set[tuple[str, int, int]] = set()  # service, slot, generation
        self.adopting: dict[str, set[Slot]] = {}  # slots that were open when the newest generation was taken up
        self.scaled: dict[str, int] = {}  # service: its target, unless a reload has set another one since
        self.over: set[tuple[str, int]] = set()  # slots whose worker has ended for good
        self.over_code: int | None = None  # of the last one that failed so
        self.hooks = 0
        self.instant = (0.0, Counter())  # what was asked for at this very moment
        self.most_seats = 0

    def expect(self, holds: object, broken: str) -> None:
        if not holds:
            raise AssertionError(broken)

    # At an action

    def check_spawn(self, spawn: Spawn) -> None:
        world, service = self.world, self.core.services[spawn.service]
        self.expect(not self.core.stopping, "a spawn after stop")
        self.check_not_hasty((spawn.service, spawn.slot))
        self.expect(spawn.generation in world.loaded, "a spawn from a generation that nobody holds")
        in_slot = [p for p in world.workers_of(spawn.service) if p.live and p.spawn.slot == spawn.slot]
        self.expect(len(in_slot) <= 1, "a spawn into a slot that holds two already")
        for process in in_slot:
            outdated = process.generation != spawn.generation or process.retire_from <= world.kernel.now
            self.expect(outdated and process.ready, "a spawn into a slot that lacks nothing")
        waiting = [p for p in world.pending.values() if (p.service, p.slot) == (spawn.service, spawn.slot)]
        self.expect(not waiting, "a spawn into a slot that waits for one already")
        self.expect(service.target, "a spawn of a service that shall have no workers")
        self.expect((spawn.service, spawn.slot) not in self.over, "a spawn after a worker that had ended for good")
        self.expect(self._seat_is_free(spawn), "two workers share a seat")
        self.expect(spawn.generation >= self.in_force.get(spawn.service, 0), "back to before what is in force")
        before, then = self.spawned_last.get(spawn.service, 0), self.errors_then.get(spawn.service, 0)
        self.expect(spawn.generation >= before or self.errors > then, "back to an older generation in silence")
        self.spawned_last[spawn.service], self.errors_then[spawn.service] = spawn.generation, self.errors

    def _seat_is_free(self, spawn: Spawn) -> bool:
        world = self.world
        workers = [p for p in world.kernel.processes.values() if p.known and p.spawn is not None]
        taken = [p.spawn.seat for p in workers] + [s.seat for s in world.pending.values()]
        self.most_seats = max(self.most_seats, len(taken) + len(world.forsaken))
        return 0 <= spawn.seat <= self.most_seats and spawn.seat not in taken

    def check_not_hasty(self, what: object) -> None:
        """A failure may be made up for at once, but not again and again."""
        now = self.world.kernel.now
        if now != self.instant[0]:
            self.instant = (now, Counter())
        self.instant[1][what] += 1
        self.expect(self.instant[1][what] <= HASTE, f"{what} asked for again and again in the same instant")

    def check_kill(self, kill: Kill, process: Process | None) -> None:
        self.expect(process is not None and process.known, "a signal to a process that is gone")
        self.expect(process.killed == inf, "a signal after KILL")
        match kill.signum:
            case Signals.SIGTERM:
                self._check_term(process)
            case Signals.SIGABRT:
                self._check_abort(process)
            case Signals.SIGKILL:
                self._check_kill(process)
            case other:
                raise AssertionError(f"an unexpected signal: {other}")

    def _check_term(self, process: Process) -> None:
        self.expect(not process.asked, "TERM to one that was told already")
        if self.world.lost_spawn(process):
            return
        if process.spawn is None:
            versions = [service.version for service in self.core.services.values()]
            used = any(version.generation == process.generation and version.workers for version in versions)
            self.expect(self.core.stopping or not used, "TERM to a mold in use")
            needed = used and process.ready_at < inf and self._molds_stay()
            self.expect(not (self.core.stopping and needed), "TERM to a mold that hooks may need")
        elif process.ready and not self.world.listeners_closed:
            self._check_let_go(process)

    def _check_let_go(self, process: Process) -> None:
        """A worker that serves is only ended when another one is ready in its place, or its place is gone."""
        spawn = process.spawn
        live = [other for other in self.world.workers_of(spawn.service) if other.live]
        if any(other.ready and other is not process and other.spawn.slot == spawn.slot for other in live):
            return
        slots = {other.spawn.slot for other in live}
        slots |= {asked.slot for asked in self.world.pending.values() if asked.service == spawn.service}
        service = self.core.services[spawn.service]
        if not service.version.workers and process.generation < service.version.generation:
            self._check_dropped(service.version.generation)
        target = service.target
        wanted = min(target, self.world.least.get(spawn.service, target))
        # It may have been told of it after that it should have fewer.
        late = process.ready_at == self.world.kernel.now or self.world.lost[spawn.service]
        self.expect(len(slots) > wanted or late, "a serving worker is ended before its replacement is ready")

    def _check_dropped(self, generation: int) -> None:
        """A service is only dropped when each that the new generation has has had a ready worker."""
        if self.asked[generation] == "":
            return
        for spec in self.world.schedule.services(generation):
            service = self.core.services[spec.name]
            there = service.version.generation == generation and service.over < service.target
            ready = any((name, of) == (spec.name, generation) for name, _, of in self.was_ready)
            self.expect(ready or not there, "a service is dropped before those that come are ready")

    def _check_abort(self, process: Process) -> None:
        now = self.world.kernel.now
        self.expect(process.aborted == inf, "ABRT twice")
        self.expect(not self.world.at_once, "ABRT in a stop at once")
        self.expect(not process.mute, "ABRT to one that writes no stacks")
        if process.termed < inf:
            self.expect(now >= process.grace_ends, "ABRT before the grace is over")
        elif process.spawn is not None and not process.hung:
            self.expect(process.ready_at == inf, "ABRT to one that serves")
            self.expect(now >= process.startup_ends, "ABRT to one that may still get ready")
        elif process.spawn is None:
            late = now >= process.startup_ends if process.ready_at == inf else self.world.overdue(process)
            self.expect(late, "ABRT to a mold that is in time")

    def _check_kill(self, process: Process) -> None:
        now = self.world.kernel.now
        if self.world.at_once:
            self.expect(process.asked, "KILL without TERM")
        elif process.mute:  # ABRT would be of no use
            late = process.hung or now >= min(process.grace_ends, process.startup_ends)
            self.expect(late, "KILL to one that is in time")
            if not process.asked:
                self.codes.add(KILLED)
        else:
            self.expect(process.aborted < inf, "KILL without ABRT")
            self.expect(now >= process.aborted + self.world.policy.abort_timeout, "KILL before the stacks are written")

    def check_pre_stop(self) -> None:
        self.hooks += 1
        asked = self.world.stop_asked_at < inf and not self.world.at_once
        self.expect(asked and self.world.policy.pre_stop_timeout > 0, "a pre_stop hook that nobody wants")
        self.expect(self.hooks == 1 and not self.world.listeners_closed, "a pre_stop hook too late, or twice")

    def check_close(self) -> None:
        world = self.world
        self.expect(self.core.stopping and not world.listeners_closed, "listeners closed without a stop, or twice")
        if world.stop_asked_at < inf and not world.at_once:
            now = world.kernel.now
            self.expect(now >= world.drained_at, "the end of the drain before it was over")
            self.expect(now >= world.hook_until, "the end of the drain before that of the hook")
            self.expect(self.hooks or not world.policy.pre_stop_timeout, "the pre_stop hook was forgotten")

    def note_told(self, level: str) -> None:
        """An error: a service may have gone back to what it was."""
        if level == "error":
            self.errors += 1
            if not self.core.stopping:
                self._forget_who_is_over()

    def check_reloaded(self, reloaded: Reloaded) -> None:
        generation, error = reloaded.generation, reloaded.error
        self.expect(generation in self.asked, "the answer to a reload that nobody asked for")
        self.expect(self.asked[generation] is None, "a second answer to a reload")
        self.asked[generation] = error
        if error:
            self.note_told("error")
            return
        for spec in self.world.schedule.services(generation):
            service = self.core.services[spec.name]
            self.expect(service.version.generation >= generation, f"{spec.name} is not of what is in force")
            self.in_force[spec.name] = generation
            if service.version.generation == generation:
                for slot in service.open.keys() & self.adopting.get(spec.name, set()):
                    ready = (spec.name, slot.index, generation) in self.was_ready or slot.over
                    self.expect(ready, f"in force, but {spec.name}.{slot.index} was never ready")

    def check_finish(self, finish: Finish) -> None:
        world = self.world
        self.expect(not any(p.known for p in world.kernel.processes.values()), "finished with children left")
        self.expect(not world.pending, "finished with forks on their way")
        self.expect(world.listeners_closed, "finished with listeners open")
        self.expect(finish.code == 0 or finish.reason, "an abnormal end without a reason")
        self.expect(None not in self.asked.values(), "a reload without an answer")
        if world.stop_asked_at < inf:
            self.expect(finish.code == (KILLED if self.killed_in_stop else 0), f"a stop that ends with {finish.code}")
        elif finish.code == 0:
            self.expect(self.over and not self.over_code, "it gave up, and says that all is well")
        else:
            killed = self.over and self.killed_in_stop and finish.code == KILLED
            self.expect(finish.code in self.codes or killed, f"gave up with {finish.code}, which nobody ended with")

    # At an event

    def note_asked(self, generation: int) -> None:
        self.expect(bool(generation) != self.core.stopping, "a reload in a stop, or none without")
        if generation:
            self.asked[generation] = None

    def note_adopted(self, generation: int) -> None:
        """Whoever had ended for good may be wanted again."""
        self._forget_who_is_over()
        self.scaled.clear()
        least = self.world.least
        for name, service in self.core.services.items():
            if service.version.generation == generation:
                self.adopting[name] = set(service.open)
            least[name] = min(service.target, least.get(name, service.target))

    def _forget_who_is_over(self) -> None:
        self.over.clear()
        self.over_code = None

    def note_scaled(self, name: str, target: int) -> None:
        self.scaled[name] = target
        if name in self.adopting:
            self.adopting[name] &= self.core.services[name].open.keys()
        if not self.core.stopping:
            self.over = {(service, slot) for service, slot in self.over if service != name}

    def note_ready(self, process: Process) -> None:
        process.ready_at = self.world.kernel.now
        self.was_ready.add((process.spawn.service, process.spawn.slot, process.generation))

    def note_death(self, process: Process) -> None:
        code = process.status if process.status >= 0 else 128 - process.status
        self.codes.add(code)
        told = min(process.aborted, process.killed) < inf
        if process.spawn is None or self.world.lost_spawn(process):
            return
        if self.core.stopping:
            self.killed_in_stop = self.killed_in_stop or (told and process.termed < inf)
        elif not process.asked:
            self.note_failure(process, code)

    def note_given_up(self, process: Process) -> None:
        """A worker is sent what ends it."""
        self.note_failure(process, KILLED if process.mute else ABORTED)

    def note_failure(self, process: Process, code: int) -> None:
        """A worker ended unasked, or was given up: where that is for good, nobody follows it."""
        spawn = process.spawn
        version = self.core.services[spawn.service].version
        restart = version.spec.restart if version.generation == process.generation else "always"
        if restart == "always" or (restart == "on-failure" and code):
            return
        others = [p for p in self.world.workers_of(spawn.service) if p is not process and p.spawn.slot == spawn.slot]
        if any(p.live for p in others) or any(s.slot == spawn.slot for s in self.world.pending.values()):
            return
        self.over.add((spawn.service, spawn.slot))
        self.over_code = code or self.over_code

    def check_gave_up(self, process: Process) -> None:
        """It did so after a death: nothing else of that service may have served.

        Nor of any, after the death of a mold or of a worker that has ended for good.
        """
        spawn = process.spawn
        alone = spawn is not None and (spawn.service, spawn.slot) not in self.over
        names = [spawn.service] if alone else self.core.services
        places = {(name, slot.index) for name in names for slot in self.core.services[name].open}
        workers = [p for name in names for p in self.world.workers_of(name)]
        serving = [p for p in workers if p.ready and (p.spawn.service, p.spawn.slot) in places]
        self.expect(not serving, "gave up while something of the service serves")

    # After a turn

    def check_settled(self) -> None:
        world, core = self.world, self.core
        known = {pid: process for pid, process in world.kernel.processes.items() if process.known}
        self.expect(core.children.keys() == known.keys(), "the core's children are not the kernel's")
        ready, live = Counter(), Counter()
        for process in known.values():
            self._check_overstay(process)
            if process.spawn is not None and process.live and not world.lost_spawn(process):
                live[process.spawn.service] += 1
                ready[process.spawn.service] += process.ready
        for name, service in core.services.items():
            self.expect(service.ready == ready[name], f"{name}: counts {service.ready} ready, {ready[name]} are")
            is_open = {slot.index for slot in service.open}
            awaited = [s for s in world.pending.values() if s.service == name and s.slot in is_open]
            if service.version.workers:
                self.expect(service.target == self.scaled.get(name, service.target), f"{name}: a scaling was undone")
            if not core.stopping:
                self.expect(
                    live[name] + len(awaited) <= service.target + SURGE, f"{name}: more than target and surge live"
                )
        self.expect(core.deadline() > world.kernel.now, "something is due, and not done")
        self.expect(world.kernel.now <= world.must_end_by or world.finish, "the stop takes too long")

    def _check_overstay(self, process: Process) -> None:
        world, now = self.world, self.world.kernel.now
        if process.killed < inf:
            return
        if process.aborted < inf:
            self.expect(now < process.aborted + world.policy.abort_timeout, "one overstays after ABRT")
        elif process.termed < inf:
            self.expect(now < process.grace_ends, "one overstays after TERM")
        else:
            self.expect(process.ready_at < inf or now < process.startup_ends, "one is not ready, and nobody minds")
            self.expect(not process.hung, "one hangs, and nobody minds")
            told = not world.listeners_closed or (process.spawn is None and self._molds_stay())
            self.expect(told, "one is not told to end in a stop")
        stays = process.spawn is None and self._molds_stay()
        self.expect(stays or not world.at_once, "one is spared in a stop at once")

    def _molds_stay(self) -> bool:
        workers = any(p.known and p.spawn is not None for p in self.world.kernel.processes.values())
        return self.world.policy.molds_stay and (workers or not self.world.listeners_closed)

    def check_woken_for_something(self, actions: int, *, by_itself: bool) -> None:
        """It had set itself a deadline: then something is to be done, but for a few looks around."""
        self.idle_wakes = 0 if actions else self.idle_wakes + by_itself
        looks = 2 * len(self.core.services) + len(self.core.children) + 2
        self.expect(self.idle_wakes <= looks, "it wakes up for nothing, again and again")

    def check_converged(self) -> None:
        """The world is good, and all is quiet: then everything is as it shall be."""
        world = self.world
        self.expect(not self.core.stopping, "it stops, and nobody asked it to")
        self.expect(self.core.requested is None, "a reload is under way for ever")
        self.expect(not world.pending, "a fork is awaited for ever")
        self.expect(None not in self.asked.values(), "a reload waits for its answer for ever")
        used = set()
        for name, service in self.core.services.items():
            workers = world.workers_of(name)
            self.expect(all(p.ready for p in workers), f"{name}: one is neither ready nor gone")
            wanted = service.target - service.over
            self.expect(len(workers) == wanted, f"{name}: {len(workers)} workers, {wanted} wanted")
            self.expect(not any(p.retired for p in workers), f"{name}: one was to be replaced")
            age = world.kernel.now - world.policy.max_worker_lifetime - TURN
            self.expect(
                not world.schedule.has_lifetimes or all(p.born > age for p in workers), f"{name}: one is too old"
            )
            generations = {p.generation for p in workers}
            self.expect(generations <= {service.version.generation}, f"{name}: of generations {generations}")
            used |= generations
        molds = [p.generation for p in world.kernel.processes.values() if p.known and p.spawn is None]
        self.expect(len(molds) == len(set(molds)), "two molds hold one generation")
        self.expect(world.schedule.forks_itself or set(molds) >= used, "a generation in use has no mold")
        self.expect(all(c.stage is Stage.READY for c in self.core.children.values()), "a straggler is left")
