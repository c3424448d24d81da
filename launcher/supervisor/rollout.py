"""How a generation takes the place of another: asked for, taken up, proven by readiness, in force, or abandoned.

What is proven stays: a worker of it that fails is an ordinary failure.  Until then a service falls back
to what it was.  Each reload that was asked for is answered by one `Reloaded`.
"""

from __future__ import annotations

from dataclasses import replace
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING

from launcher.supervisor.state import Generation, Reloaded, Rollout, Service, Slot, Stage, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.settings import ServiceSpec
    from launcher.supervisor.state import State

FIRST = 1  # the generation that nobody asked for
SUPERSEDED = "superseded by a newer reload"


def ask(state: State) -> int:
    """Ask for a new generation.  Asked again meanwhile, the newest counts."""
    if state.requested is not None:
        state.mark(state.generations[state.requested].slot)
        answer(state, state.requested, SUPERSEDED)
    state.newest += 1
    state.requested = state.newest
    record = state.generations[state.newest] = Generation(Slot(None, state.newest))
    state.mark(record.slot)
    return state.newest


def answer(state: State, generation: int, error: str) -> None:
    """Say what became of a reload."""
    if generation != FIRST:
        state.news.append(Reloaded(generation, error))


def interrupt(state: State, error: str) -> None:
    """The generation on its way will not come into force as it was meant to; nobody leaves for it."""
    if state.rollout is None:
        return
    answer(state, state.rollout.generation, error)
    state.rollout = None
    for service in state.services.values():
        service.leaving = False


def adopt(state: State, generation: int, specs: dict[str, ServiceSpec]) -> None:
    """Let every service become what the new generation says; what it does not have leaves later."""
    interrupt(state, SUPERSEDED)
    reload = bool(state.services)
    for service in state.services.values():
        spec = specs.get(service.name)
        service.leaving = spec is None and service.version.workers > 0
        if spec is not None:
            _take_up(state, service, Version(generation, spec))
    for service in add(state, generation, specs.values()):
        if reload:
            _hold(state, service, service.version, _absence(generation, service))
    services = [state.services[name] for name in specs]
    behind = {service: {slot for slot in service.open if not slot.over} for service in services}
    state.rollout = Rollout(generation, {service: slots for service, slots in behind.items() if slots}, set(services))
    if not state.rollout.behind:
        _in_force(state, state.rollout)


def add(state: State, generation: int, specs: Iterable[ServiceSpec]) -> list[Service]:
    """Make the services that are not there yet, and return them."""
    new = []
    for spec in specs:
        if spec.name not in state.services:
            service = state.services[spec.name] = Service(spec.name, Version(generation, replace(spec, workers=0)))
            _hold(state, service, Version(generation, spec), None)
            resize(state, service, spec.workers)
            new.append(service)
    return new


def prove(state: State, service: Service) -> None:
    """A worker of the newest version is ready; when all services have one, those that it does not have may leave."""
    if service.proven != service.version:
        _hold(state, service, service.version, service.version)
    rollout = state.rollout
    if rollout is not None and service in rollout.unproven:
        rollout.unproven.discard(service)
        if not rollout.unproven:
            _let_go(state, rollout.generation)


def caught_up(state: State, slot: Slot) -> None:
    """A slot is as the newest generation wants it; when all are, that one is in force."""
    rollout, service = state.rollout, slot.service
    if rollout is None or service is None or slot not in rollout.behind.get(service, ()):
        return
    rollout.behind[service].discard(slot)
    if not rollout.behind[service]:
        del rollout.behind[service]
    if not rollout.behind:
        _in_force(state, rollout)


def falls_back(service: Service) -> bool:
    """Whether a failure means that the newest version is no good."""
    return service.proven is not None and service.proven != service.version


def abandon(state: State, service: Service, reason: str) -> None:
    """The new generation does not get ready: go back to the one that did, and let nobody leave."""
    if (proven := service.proven) is None:
        return
    interrupt(state, reason)
    _hold(state, service, proven, proven)
    forgive(service)
    before = service.target if service.fallback is None else service.fallback
    resize(state, service, before if proven.workers else 0)
    state.mark_service(service)
    stays = f"{service.name} stays at generation {proven.generation}" if proven.workers else "it is not added"
    state.tell("error", f"reload failed: {reason}; {stays}")


def fall_back(state: State, generation: int, reason: str) -> None:
    """A generation cannot be loaded any more: whoever was not proven of it goes back, the others wait on."""
    for service in state.services.values():
        if service.version.generation == generation and falls_back(service):
            abandon(state, service, reason)
    if state.rollout is not None and state.rollout.generation == generation:
        interrupt(state, reason)
    if state.generations[generation].users:
        state.tell("warning", f"{reason}; loading it again")


def forgive(service: Service) -> None:
    """Let every slot begin afresh."""
    service.failures, service.crash_looping = 0, False
    for slot in service.slots:
        slot.failures, slot.not_before, slot.throttled = 0, -inf, False


def resize(state: State, service: Service, target: int) -> None:
    """Close the slots of nobody and of the youngest workers, or open closed ones, lowest first."""
    while service.target > target:
        _close(state, service, next(reversed(service.empty or service.open)))
    while service.target < target:
        _open(state, service)


def reopen(service: Service, slot: Slot) -> None:
    """A slot whose worker had ended for good is to hold one again."""
    if slot.over:
        slot.over = False
        service.over -= 1


def _open(state: State, service: Service) -> None:
    if service.closed:
        slot = service.slots[heappop(service.closed)]
    else:
        slot = Slot(service, len(service.slots))
        service.slots.append(slot)
    slot.open = True
    service.open[slot] = None
    service.notice_empty(slot)
    state.mark(slot)
    generation = service.version.generation
    if state.rollout is not None and generation == state.rollout.generation and not _serves(slot, generation):
        state.rollout.behind.setdefault(service, set()).add(slot)


def _serves(slot: Slot, generation: int) -> bool:
    return any(child.stage is Stage.READY and child.generation == generation for child in slot.children)


def _close(state: State, service: Service, slot: Slot) -> None:
    slot.open = False
    del service.open[slot]
    service.empty.pop(slot, None)
    heappush(service.closed, slot.index)
    reopen(service, slot)
    state.mark(slot)
    caught_up(state, slot)


def _take_up(state: State, service: Service, version: Version) -> None:
    if service.proven == service.version:
        service.fallback = service.target
    _hold(state, service, version, service.proven)
    forgive(service)
    spec = version.spec
    resize(state, service, spec.workers if spec.most is None else min(max(service.target, spec.workers), spec.most))
    if spec.restart == "always":
        for slot in service.open:
            reopen(service, slot)
    state.mark_service(service)


def _in_force(state: State, rollout: Rollout) -> None:
    """What is told to be in force is proven, even where no worker was to show it."""
    for service in state.services.values():
        if service.version.generation == rollout.generation:
            prove(state, service)
    answer(state, rollout.generation, "")
    state.rollout = None


def _let_go(state: State, generation: int) -> None:
    """Drop services that the newest generation does not have."""
    for service in state.services.values():
        if service.leaving:
            service.leaving = False
            absence = _absence(generation, service)
            _hold(state, service, absence, absence)
            resize(state, service, 0)


def _absence(generation: int, service: Service) -> Version:
    return Version(generation, replace(service.version.spec, workers=0))


def _hold(state: State, service: Service, version: Version, proven: Version | None) -> None:
    """Set what a service is and what it would go back to, and count who needs which generation."""
    before = service.needs()
    service.version, service.proven = version, proven
    state.holds += 1
    after = service.needs()
    for generation in after - before:
        state.generations[generation].users += 1
    for generation in before - after:
        record = state.generations[generation]
        record.users -= 1
        state.mark(record.slot)
