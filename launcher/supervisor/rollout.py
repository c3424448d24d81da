"""How a generation takes the place of another: it is taken up by each service, proven by readiness, or abandoned."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from launcher.supervisor.state import Service, Slot, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.settings import ServiceSpec
    from launcher.supervisor.state import State


def adopt(state: State, generation: int, specs: dict[str, ServiceSpec]) -> None:
    """Let every service become what the new generation says; what it does not have leaves later."""
    for service in state.services.values():
        spec = specs.get(service.name)
        service.leaving = spec is None and service.version.workers > 0
        if spec is not None:
            service.version = Version(generation, spec.workers)
            forgive(service)
            resize(state, service, spec.workers)
    reload = bool(state.services)
    for service in add(state, generation, specs.values()):
        if reload:
            service.proven = Version(generation, 0)  # what to go back to: not being there


def add(state: State, generation: int, specs: Iterable[ServiceSpec]) -> list[Service]:
    """Make the services that are not there yet, and return them."""
    new = [
        Service(spec.name, Version(generation, spec.workers), spec.workers)
        for spec in specs
        if spec.name not in state.services
    ]
    for service in new:
        state.services[service.name] = service
        resize(state, service, service.target)
    return new


def let_go_of_the_leaving(state: State) -> None:
    """Drop services that the newest generation does not have, once all that it has are ready."""
    leaving = [service for service in state.services.values() if service.leaving]
    staying = [service for service in state.services.values() if not service.leaving]
    if any(service.proven != service.version for service in staying):
        return
    newest = max(service.version.generation for service in staying)
    for service in leaving:
        service.leaving = False
        service.version = service.proven = Version(newest, 0)
        resize(state, service, 0)


def abandon(state: State, service: Service, proven: Version, reason: str) -> None:
    """The new generation does not get ready: go back to the one that did, and let nobody leave."""
    for each in state.services.values():
        each.leaving = False
    service.version = proven
    forgive(service)
    resize(state, service, proven.workers)
    state.mark_generations()
    stays = f"{service.name} stays at generation {proven.generation}" if proven.workers else "it is not added"
    state.tell("error", f"reload failed: {reason}; {stays}")


def forgive(service: Service) -> None:
    service.failures, service.crash_looping = 0, False
    for slot in service.slots:
        slot.failures, slot.not_before, slot.throttled = 0, -inf, False


def resize(state: State, service: Service, target: int) -> None:
    service.target = target
    while len(service.slots) < target:
        service.slots.append(Slot(service, len(service.slots)))
    for slot in service.slots:
        state.mark(slot)
