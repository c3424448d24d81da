"""How things stand: questions about the state that decisions and events ask.  Nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Child, Service, Slot, State


def wanted(state: State, child: Child) -> bool:
    service = child.slot.service
    if service is None:
        return child.slot is not state.strays and not state.stopping and in_use(state, child.generation)
    if state.terminating or child.slot.index >= service.target:
        return False
    generation = service.version.generation
    if child.generation == generation:
        return True
    # One of another generation serves on until the right one is ready in its place.
    replaced = any(c.stage is Stage.READY and c.generation == generation for c in child.slot.children)
    return child.stage is Stage.READY and not replaced


def why_unwanted(state: State, child: Child) -> str:
    service = child.slot.service
    if state.stopping:
        return "stopping"
    if service is None:
        return "no longer needed"
    return "scaled down" if child.slot.index >= service.target else "replaced"


def vacant(state: State, slot: Slot, service: Service) -> bool:
    """Whether the slot lacks a worker that could be spawned."""
    generation = service.version.generation
    if state.stopping or slot.index >= service.target or slot.live(generation):
        return False
    return state.generations[generation].prepared


def unprepared(state: State, slot: Slot) -> bool:
    record = state.generations.get(slot.index)
    if record is None or record.prepared or state.stopping or slot.children:
        return False
    return in_use(state, slot.index)


def lacks(state: State, slot: Slot) -> bool:
    return vacant(state, slot, slot.service) if slot.service else unprepared(state, slot)


def in_use(state: State, generation: int) -> bool:
    if generation == state.requested:
        return True
    services = state.services.values()
    return any(generation in (s.version.generation, s.proven and s.proven.generation) for s in services)


def none_ready(state: State) -> bool:
    return not any(service.ready for service in state.services.values())


def preparing(state: State) -> bool:
    return any(record.slot.pending for record in state.generations.values())


def grace(state: State) -> float:
    return 0.0 if state.at_once else state.policy.graceful_shutdown_timeout
