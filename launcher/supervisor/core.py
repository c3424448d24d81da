"""The supervisor's decisions: a pure state machine.

Nothing here forks, signals, logs or reads a clock.  Input methods record what happened and mark the
slots it concerns.  `next_action` looks at marked slots only, each as a whole, and names the one thing
to do now; so no answer goes stale in a queue and an event costs O(log n).  `deadline` says when to ask
again even if nothing happens.

Rules it keeps, each held by tests/property/: no spawn after stop; never more than one surplus live
worker a service; a reload stops no worker before its replacement is ready; a reload that fails keeps
the old generation serving; a child gets at most one TERM, one ABRT and one KILL, and none once it was
reaped; an unknown PID changes nothing; a stop ends in bounded time; at a deadline there is something
to do.
"""

from __future__ import annotations

from collections import deque
from math import inf
from signal import Signals
from typing import TYPE_CHECKING

from launcher.errors import EXIT_CONFIG, EXIT_SOFTWARE
from launcher.supervisor.agenda import Agenda
from launcher.supervisor.pacing import backoff, count_fork, is_crash_loop, take_turn, throttled, yield_turn
from launcher.supervisor.state import (
    LIVE,
    Child,
    CloseListeners,
    Finish,
    Generation,
    Kill,
    Prepare,
    Service,
    Slot,
    Spawn,
    Stage,
    Tell,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.settings import Policy, ServiceSpec
    from launcher.supervisor.state import Action

KILLED_CODE = 128 + Signals.SIGKILL


def exit_code(status: int) -> int:
    """Translate `os.waitstatus_to_exitcode`'s value as shells do: 128+n for death by signal n."""
    return status if status >= 0 else 128 - status


class Core:
    """The whole state of a supervisor, and what to do about it.

    Parameters: the policy that holds until a generation brings its own.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.services: dict[str, Service] = {}
        self.generations: dict[int, Generation] = {}
        self.children: dict[int, Child] = {}
        self.requested: int | None = None  # the generation that a reload is waiting for
        self.stopping = False
        self.terminating = False
        self.finished = False
        self._at_once = False
        self._terminate_at = inf
        self._end = (0, "")
        self._newest = 0
        self._serial = 0
        self._pending: dict[int, Slot] = {}
        self._strays = Slot(None, -1)
        self._agenda = Agenda()
        self._tells: deque[Tell] = deque()
        self.reload()

    # What happened

    def prepare_started(self, generation: int, pid: int, now: float) -> None:
        """The mold of a generation was forked."""
        slot = self.generations[generation].slot
        slot.pending = None
        self._born(slot, generation, pid, now)

    def loading(self, generation: int, startup_timeout: float) -> None:
        """A mold has read how many seconds it may take from its fork until it has loaded the application."""
        record = self.generations.get(generation)
        for child in record.slot.children if record else ():
            if child.stage is Stage.STARTING:
                child.deadline = child.since + startup_timeout
                self._mark(child.slot)

    def prepared(self, generation: int, services: Iterable[ServiceSpec], policy: Policy, now: float) -> None:
        """A generation can be spawned from.  Told again, it adds the services that are new."""
        record = self.generations.get(generation)
        if record is None or self.stopping or not self._in_use(generation):
            return
        if record.slot.children and not record.slot.live():
            return  # too late: the mold is being killed
        for child in record.slot.live():
            child.enter(Stage.READY, now, inf)
        record.slot.pending, record.prepared = None, True
        self._mark(record.slot)
        if generation == self.requested:
            self.requested = None
            self.policy = policy
            self._adopt(generation, {spec.name: spec for spec in services})
        else:
            self._add(generation, services)
        self._mark_all()

    def prepare_failed(self, generation: int, code: int, reason: str, now: float) -> None:
        """A generation could not be loaded; `reason` is for people, `code` for the container's end."""
        record = self.generations.get(generation)
        if record is None or record.prepared:
            return
        record.slot.pending = None
        for child in record.slot.live():  # it has said why and is about to end
            child.asked = True
            child.enter(Stage.STOPPING, now, self._grace())
        self._mark(record.slot)
        self._preparation_failed(generation, code, reason, now)

    def prepare_deferred(self, generation: int, reason: str, now: float) -> None:
        """The mold could not be forked for want of resources: another try may succeed."""
        record = self.generations.get(generation)
        if record is None:
            return
        record.slot.pending = None
        record.slot.failures += 1
        record.slot.not_before = now + backoff(self.policy, record.slot.failures + 1)
        self._mark(record.slot)
        self._tell("warning", f"generation {generation}: {reason}; trying again")
        if record.slot.failures >= self.policy.crash_loop_threshold and self._none_ready():
            self._give_up(EXIT_SOFTWARE, reason, now)

    def spawned(self, serial: int, pid: int, now: float) -> None:
        """A worker was forked, in answer to the Spawn of that serial number."""
        slot = self._pending.pop(serial, None)
        if slot is None or not isinstance(slot.pending, Spawn):
            self._born(self._strays, 0, pid, now)  # its mold was given up for lost meanwhile
            return
        generation, slot.pending = slot.pending.generation, None
        self._born(slot, generation, pid, now)

    def spawn_failed(self, serial: int, reason: str, now: float) -> None:
        """A worker could not be forked."""
        slot = self._pending.pop(serial, None)
        if slot is None or slot.service is None:
            return
        slot.pending = None
        self._mark(slot)
        self._tell("warning", f"{slot.service.name}: cannot fork: {reason}")
        self._failed(slot, slot.service, EXIT_SOFTWARE, f"cannot fork: {reason}", now)

    def ready(self, pid: int, now: float) -> None:
        """A worker serves."""
        child = self.children.get(pid)
        if child is None or child.stage is not Stage.STARTING or child.slot.service is None:
            return
        service = child.slot.service
        child.enter(Stage.READY, now, inf)
        service.ready += 1
        if child.generation == service.version.generation:
            service.proven = service.version
            self._let_go_of_the_leaving()
        self._mark(child.slot)
        self._mark_generations()

    def exited(self, pid: int, status: int, now: float) -> None:
        """A child was reaped, with a status as of `os.waitstatus_to_exitcode`.

        As PID 1 we adopt orphans: it may not be ours.
        """
        child = self.children.pop(pid, None)
        if child is None:
            return
        child.slot.children.remove(child)
        self._mark(child.slot)
        if child.slot.service is not None:
            self._worker_ended(child, child.slot.service, exit_code(status), now)
        elif child.slot is not self._strays:
            self._mold_ended(child, exit_code(status), now)

    def reload(self) -> None:
        """Ask for a new generation of configuration and code.  Asked again meanwhile, the newest counts."""
        if self.stopping:
            return
        self._newest += 1
        self.requested = self._newest
        self.generations[self._newest] = Generation(Slot(None, self._newest))
        self._mark_generations()

    def scale(self, name: str, target: int) -> None:
        """Set how many workers a service shall have until the next reload.  Raises KeyError and ValueError."""
        if target < 0:
            raise ValueError(f"{target} workers")
        service = self.services[name]
        if not service.version.workers:
            raise KeyError(f"{name} was dropped by the last reload")
        self._resize(service, target)

    def stop(self, now: float) -> None:
        """End everything gracefully.  Asked again, it changes nothing."""
        if self.stopping:
            return
        self.stopping = True
        self._terminate_at = now if self._none_ready() else now + self.policy.drain_delay
        self._mark_all()

    def stop_at_once(self, now: float) -> None:
        """End everything now: KILL follows TERM without grace."""
        self.stop(now)
        self._at_once, self._terminate_at = True, min(now, self._terminate_at)
        for child in self.children.values():
            if child.stage in (Stage.STOPPING, Stage.ABORTED):
                child.deadline = min(now, child.deadline)
        self._mark_all()

    # What to do about it

    def next_action(self, now: float) -> Action | None:
        """Name the one thing to do now, or None.  The caller does it, tells, and asks again."""
        if self._tells:
            return self._tells.popleft()
        if self.stopping and not self.terminating and now >= self._terminate_at:
            self.terminating = True
            self._mark_all()
            return CloseListeners()
        while (slot := self._agenda.first(now)) is not None:
            if (action := self._decide(slot, now)) is not None:
                return action
            self._forget_unused(slot)
            self._agenda.settle(self._next_look(slot, now))
        if self.terminating and not (self.finished or self.children or self._pending or self._preparing()):
            self.finished = True
            return Finish(*self._end)
        return None

    def deadline(self) -> float:
        """When to call `next_action` again if nothing happens before."""
        due = self._agenda.deadline()
        return due if self.terminating else min(due, self._terminate_at)

    # One slot, seen as a whole

    def _decide(self, slot: Slot, now: float) -> Action | None:
        for child in slot.children:
            if child.deadline <= now:
                return self._escalate(child, now)
            if child.stage in LIVE and not self._wanted(child):
                return self._ask_to_end(child, now)
        if slot.pending is not None:
            return self._overdue_answer(slot, now)
        if slot.service is not None:
            return self._fill(slot, slot.service, now)
        return self._prepare(slot, now)

    def _ask_to_end(self, child: Child, now: float) -> Kill:
        if child.stage is Stage.READY:
            self._leaves_ready(child, now)
        child.asked = True
        child.enter(Stage.STOPPING, now, self._grace())
        return Kill(child.pid, Signals.SIGTERM, self._why_unwanted(child))

    def _escalate(self, child: Child, now: float) -> Kill:
        """A child has overstayed its stage: first its stacks, then its end."""
        late = "stopping at once" if self._at_once else "did not end in time"
        if child.stage is Stage.STARTING:
            late = "did not get ready in time"
        if self._at_once or child.stage is Stage.ABORTED:
            child.enter(Stage.KILLED, now, inf)
            return Kill(child.pid, Signals.SIGKILL, late)
        child.enter(Stage.ABORTED, now, self.policy.abort_timeout)
        return Kill(child.pid, Signals.SIGABRT, late)

    def _wanted(self, child: Child) -> bool:
        service = child.slot.service
        if service is None:
            return child.slot is not self._strays and not self.stopping and self._in_use(child.generation)
        if self.terminating or child.slot.index >= service.target:
            return False
        generation = service.version.generation
        if child.generation == generation:
            return True
        # One of another generation serves on until the right one is ready in its place.
        replaced = any(c.stage is Stage.READY and c.generation == generation for c in child.slot.children)
        return child.stage is Stage.READY and not replaced

    def _why_unwanted(self, child: Child) -> str:
        service = child.slot.service
        if self.stopping:
            return "stopping"
        if service is None:
            return "no longer needed"
        return "scaled down" if child.slot.index >= service.target else "replaced"

    def _fill(self, slot: Slot, service: Service, now: float) -> Spawn | None:
        """Spawn what the slot lacks; where a worker serves on meanwhile, one slot at a time."""
        generation = service.version.generation
        if (following := yield_turn(slot, service)) is not None:
            self._mark(following)
        if not self._vacant(slot, service) or slot.not_before > now:
            return None
        if throttled(slot, service, now) or not take_turn(slot, service):
            return None
        count_fork(service, now)
        self._serial += 1
        spawn = Spawn(service.name, slot.index, generation, self._serial)
        slot.pending, slot.pending_until = spawn, now + self.policy.startup_timeout
        self._pending[self._serial] = slot
        return spawn

    def _vacant(self, slot: Slot, service: Service) -> bool:
        """Whether the slot lacks a worker that could be spawned."""
        generation = service.version.generation
        if self.stopping or slot.index >= service.target or slot.live(generation):
            return False
        return self.generations[generation].prepared

    def _prepare(self, slot: Slot, now: float) -> Prepare | None:
        """Load a generation that somebody needs and nobody holds."""
        if not self._unprepared(slot) or slot.not_before > now:
            return None
        prepare = Prepare(slot.index)
        slot.pending, slot.pending_until = prepare, inf
        return prepare

    def _unprepared(self, slot: Slot) -> bool:
        record = self.generations.get(slot.index)
        if record is None or record.prepared or self.stopping or slot.children:
            return False
        return self._in_use(slot.index)

    def _overdue_answer(self, slot: Slot, now: float) -> Kill | None:
        """A mold that does not answer a Spawn hangs: end it, and another one takes over."""
        if slot.pending_until > now or not isinstance(slot.pending, Spawn):
            return None
        slot.pending_until = inf
        for mold in self.generations[slot.pending.generation].slot.live():
            mold.enter(Stage.ABORTED, now, self.policy.abort_timeout)
            self._mark(mold.slot)
            return Kill(mold.pid, Signals.SIGABRT, "the mold does not answer")
        return None

    # Ends, expected and not

    def _worker_ended(self, child: Child, service: Service, code: int, now: float) -> None:
        starting = child.stage is not Stage.READY
        if child.stage is Stage.READY:
            self._leaves_ready(child, now)
        if child.asked:
            if self.stopping and child.stage in (Stage.ABORTED, Stage.KILLED) and not self._end[0]:
                why = (
                    "was killed, as the stop was to be at once"
                    if self._at_once
                    else "did not end in time and was killed"
                )
                self._end = KILLED_CODE, f"{service.name}: worker {child.pid} {why}"
            return
        if self.stopping:
            return
        when = "before it was ready" if starting else "unasked"
        reason = f"{service.name}: worker {child.pid} ended with {code} {when}"
        proven = service.proven
        if starting and proven and proven != service.version and child.generation == service.version.generation:
            self._abandon(service, proven, reason)
        elif starting and proven is None and code == EXIT_CONFIG:
            self._give_up(EXIT_CONFIG, reason, now)
        else:
            self._failed(child.slot, service, code, reason, now)

    def _leaves_ready(self, child: Child, now: float) -> None:
        service = child.slot.service
        if service is None:
            return
        service.ready -= 1
        if now - child.since >= self.policy.crash_loop_window:
            child.slot.failures = service.failures = 0
            service.crash_looping = False

    def _failed(self, slot: Slot, service: Service, code: int, reason: str, now: float) -> None:
        if not service.failures:
            service.failing_since = now
        slot.failures += 1
        service.failures += 1
        slot.not_before = now + backoff(self.policy, slot.failures)
        if service.ready or not is_crash_loop(self.policy, slot, service, now):
            return
        crash_loop = f"crash loop: {service.failures} failures in a row, the last: {reason}"
        if self.policy.exit_on_crash_loop:
            self._give_up(code or EXIT_SOFTWARE, crash_loop, now)
        elif not service.crash_looping:
            service.crash_looping = True
            self._tell("error", f"{crash_loop}; going on")

    def _abandon(self, service: Service, proven: Version, reason: str) -> None:
        """The new generation does not get ready: go back to the one that did, and let nobody leave."""
        for each in self.services.values():
            each.leaving = False
        service.version = proven
        self._forgive(service)
        self._resize(service, proven.workers)
        self._mark_generations()
        stays = f"{service.name} stays at generation {proven.generation}" if proven.workers else "it is not added"
        self._tell("error", f"reload failed: {reason}; {stays}")

    def _mold_ended(self, child: Child, code: int, now: float) -> None:
        for serial, slot in list(self._pending.items()):
            if isinstance(slot.pending, Spawn) and slot.pending.generation == child.generation:
                del self._pending[serial]
                slot.pending = None
                self._mark(slot)
        record = self.generations.get(child.generation)
        if record is None or child.asked:
            return
        if not record.prepared:
            late = child.stage in (Stage.ABORTED, Stage.KILLED)
            why = "did not load the application within startup_timeout" if late else f"ended with {code} while loading"
            self._preparation_failed(child.generation, code, f"the mold {why}", now)
            return
        record.prepared = False
        self._mark_all()
        if child.stage is Stage.READY and now - child.since >= self.policy.crash_loop_window:
            child.slot.failures = 0
        self._lost(child.slot, code, f"the mold of generation {child.generation} ended with {code}", now)

    def _preparation_failed(self, generation: int, code: int, reason: str, now: float) -> None:
        if generation != self.requested:
            self._lost(self.generations[generation].slot, code, reason, now)
        elif not self.services:
            self._give_up(code or EXIT_SOFTWARE, reason, now)
        else:
            self.requested = None
            self._tell("error", f"reload refused: {reason}; everything goes on as it was")

    def _lost(self, slot: Slot, code: int, reason: str, now: float) -> None:
        """What a generation is spawned from is gone: load it again, its workers are not touched."""
        slot.failures += 1
        slot.not_before = now + backoff(self.policy, slot.failures)
        if slot.failures >= self.policy.crash_loop_threshold and self._none_ready():
            self._give_up(code or EXIT_SOFTWARE, reason, now)
        else:
            self._tell("warning", f"{reason}; loading it again")

    def _give_up(self, code: int, reason: str, now: float) -> None:
        if self.stopping:
            return
        self._end = code, reason
        self.stop(now)
        self._terminate_at = now

    # Small change

    def _adopt(self, generation: int, specs: dict[str, ServiceSpec]) -> None:
        """Let every service become what the new generation says; what it does not have leaves later."""
        for service in self.services.values():
            spec = specs.get(service.name)
            service.leaving = spec is None and service.version.workers > 0
            if spec is not None:
                service.version = Version(generation, spec.workers)
                self._forgive(service)
                self._resize(service, spec.workers)
        reload = bool(self.services)
        for service in self._add(generation, specs.values()):
            if reload:
                service.proven = Version(generation, 0)  # what to go back to: not being there

    def _let_go_of_the_leaving(self) -> None:
        """Drop services that the newest generation does not have, once all that it has are ready."""
        leaving = [service for service in self.services.values() if service.leaving]
        staying = [service for service in self.services.values() if not service.leaving]
        if any(service.proven != service.version for service in staying):
            return
        newest = max(service.version.generation for service in staying)
        for service in leaving:
            service.leaving = False
            service.version = service.proven = Version(newest, 0)
            self._resize(service, 0)

    def _add(self, generation: int, specs: Iterable[ServiceSpec]) -> list[Service]:
        """Make the services that are not there yet, and return them."""
        new = [
            Service(spec.name, Version(generation, spec.workers), spec.workers)
            for spec in specs
            if spec.name not in self.services
        ]
        for service in new:
            self.services[service.name] = service
            self._resize(service, service.target)
        return new

    def _forgive(self, service: Service) -> None:
        service.failures, service.crash_looping = 0, False
        for slot in service.slots:
            slot.failures, slot.not_before, slot.throttled = 0, -inf, False

    def _resize(self, service: Service, target: int) -> None:
        service.target = target
        while len(service.slots) < target:
            service.slots.append(Slot(service, len(service.slots)))
        for slot in service.slots:
            self._mark(slot)

    def _born(self, slot: Slot, generation: int, pid: int, now: float) -> None:
        child = Child(pid, slot, generation, now, now + self.policy.startup_timeout)
        self.children[pid] = child
        slot.children.append(child)
        self._mark(slot)

    def _in_use(self, generation: int) -> bool:
        if generation == self.requested:
            return True
        services = self.services.values()
        return any(generation in (s.version.generation, s.proven and s.proven.generation) for s in services)

    def _none_ready(self) -> bool:
        return not any(service.ready for service in self.services.values())

    def _preparing(self) -> bool:
        return any(record.slot.pending for record in self.generations.values())

    def _grace(self) -> float:
        return 0.0 if self._at_once else self.policy.graceful_shutdown_timeout

    def _tell(self, level: str, text: str) -> None:
        self._tells.append(Tell(level, text))

    # Which slots to look at, and when

    def _mark(self, slot: Slot) -> None:
        self._agenda.mark(slot)

    def _mark_generations(self) -> None:
        for record in self.generations.values():
            self._mark(record.slot)

    def _mark_all(self) -> None:
        self._mark(self._strays)
        self._mark_generations()
        for service in self.services.values():
            for slot in service.slots:
                self._mark(slot)

    def _next_look(self, slot: Slot, now: float) -> float:
        looks = [child.deadline for child in slot.children]
        if isinstance(slot.pending, Spawn):
            looks.append(slot.pending_until)
        elif slot.not_before > now and self._lacks(slot):
            looks.append(slot.not_before)
        return min(looks, default=inf)

    def _lacks(self, slot: Slot) -> bool:
        return self._vacant(slot, slot.service) if slot.service else self._unprepared(slot)

    def _forget_unused(self, slot: Slot) -> None:
        if slot.service is None and not (slot.pending or slot.children or self._in_use(slot.index)):
            self.generations.pop(slot.index, None)
