"""How things stand: questions about the state that decisions and events ask.  Nothing here changes anything."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from launcher.supervisor.pacing import lowered
from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Child, Service, Slot, State


def wanted(state: State, child: Child) -> bool:
    """Whether a child is to go on."""
    slot, service = child.slot, child.slot.service
    if service is None:
        if state.stopping:
            return slot is not state.strays and child.stage is Stage.READY and molds_stay(state)
        return slot is not state.strays and in_use(state, child.generation)
    if state.terminating or not slot.open:
        return False
    heirs = slot.heirs(service.version.generation)
    if child in heirs or child.hung:  # who hangs gets ABRT, not TERM
        return True
    # One of another generation, or to be retired, serves on until the right one is ready in its place: the youngest.
    ready = [each for each in slot.children if each.stage is Stage.READY and not each.hung]
    return child in ready[-1:] and not any(each in heirs for each in ready)


def molds_stay(state: State) -> bool:
    """Whether hooks may need the molds while stopping: until the last worker has ended."""
    molds = sum(len(record.slot.children) for record in state.generations.values())
    return state.policy.molds_stay and (not state.terminating or len(state.children) > molds)


def why_unwanted(state: State, child: Child) -> str:
    """Say for people why a child is to end."""
    service = child.slot.service
    if state.stopping:
        return "stopping"
    if service is None:
        return "no longer needed"
    if not child.slot.open:
        return "scaled down"
    return child.retiring if child.generation == service.version.generation else "replaced"


def why_late(state: State, child: Child) -> str:
    """Say for people why a child is to be killed."""
    if state.at_once:
        return "stopping at once"
    if child.hung:
        return f"hangs: {child.hung}"
    if child.asked or child.served:
        return "did not end in time"
    return f"did not get ready in time; startup_timeout is {state.policy.startup_timeout:g} s"


def vacant(state: State, slot: Slot, service: Service) -> bool:
    """Whether the slot lacks a worker."""
    if state.stopping or not slot.open or slot.pending is not None or slot.over:
        return False
    return not slot.heirs(service.version.generation)


def unprepared(state: State, slot: Slot) -> bool:
    """Whether a generation that somebody needs is not loaded."""
    record = state.generations.get(slot.index)
    if record is None or record.prepared or state.stopping or slot.children:
        return False
    return in_use(state, slot.index)


def lacks(state: State, slot: Slot) -> bool:
    """Whether time will let the slot have a child that it wants and does not have."""
    if slot.service is None:
        return unprepared(state, slot)
    record = state.generations.get(slot.service.version.generation)
    return record is not None and slot not in record.waiting and vacant(state, slot, slot.service)


def next_event(state: State, child: Child) -> float:
    """When a child must be looked at even if it does nothing."""
    if child.stage is Stage.STARTING:
        return min(child.deadline, child.ready_at)
    if child.stage is Stage.READY and not (state.stopping or child.retiring):
        return min(child.deadline, child.retire_at, child.remold_at)
    return child.deadline


def in_use(state: State, generation: int) -> bool:
    """Whether workers may be spawned of a generation, now or when another one fails."""
    record = state.generations.get(generation)
    return generation == state.requested or (record is not None and record.users > 0)


def all_over(state: State) -> bool:
    """Whether every worker of every service has ended for good."""
    there = [service for service in state.services.values() if service.version.workers]
    return all(service.over == service.target > 0 for service in there)


def preparing(state: State) -> bool:
    """Whether the fork of a mold is not answered yet."""
    return any(record.slot.pending for record in state.generations.values())


def lifetime(state: State) -> float:
    """Draw how long after its fork a worker is replaced."""
    longest = state.policy.max_worker_lifetime
    return lowered(longest, state.policy.limit_jitter, state.random()) if 0 < longest < inf else inf


def grace(state: State, child: Child) -> float:
    """How long a child may take to end."""
    if state.at_once:
        return 0.0
    policy = state.policy
    # A mold that has stayed is asked when the workers have ended: a second grace would be too much.
    is_last = policy.molds_stay and child.slot.service is None and child.slot is not state.strays
    return min(policy.graceful_shutdown_timeout, policy.mold_timeout) if is_last else policy.graceful_shutdown_timeout


def dumps_stacks(child: Child) -> bool:
    """Whether ABRT is of any use before KILL: a mold's stacks, too, say where it hangs."""
    service = child.slot.service
    return service is None or service.version.spec.dumps_stacks
