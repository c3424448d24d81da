"""What happens to workers while they live: they are born, get ready, age, hang, or are to be replaced."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from launcher.errors import EXIT_SOFTWARE
from launcher.supervisor.ends import failed
from launcher.supervisor.remolding import begin_to_season
from launcher.supervisor.rollout import abandon, caught_up, falls_back, prove
from launcher.supervisor.situation import lifetime
from launcher.supervisor.state import LIVE, NO_SEAT, Child, Spawn, Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import State


def spawned(state: State, serial: int, pid: int, now: float) -> None:
    """A worker was forked."""
    slot = state.pending.pop(serial, None)
    if slot is None or slot.service is None or not isinstance(slot.pending, Spawn):
        # Its mold was given up for lost meanwhile.
        state.born(state.strays, Child(pid, state.strays, 0, now, inf, state.lost.pop(serial, NO_SEAT)))
        return
    generation, seat, slot.pending = slot.pending.generation, slot.pending.seat, None
    child = Child(pid, slot, generation, now, now + state.policy.startup_timeout, seat)
    child.retire_at = now + lifetime(state)
    version = slot.service.version
    if version.generation == generation and (patience := version.spec.ready_after) is not None:
        child.deadline, child.ready_at = inf, now + patience
    state.born(slot, child)


def spawn_failed(state: State, serial: int, reason: str, now: float) -> None:
    """A worker could not be forked."""
    if (seat := state.lost.pop(serial, None)) is not None:
        state.seats.give_back(seat)
    slot = state.pending.pop(serial, None)
    if slot is None or slot.service is None or not isinstance(slot.pending, Spawn):
        return
    asked, slot.pending = slot.pending, None
    state.seats.give_back(asked.seat)
    state.mark(slot)
    if state.stopping or not slot.open or asked.generation != slot.service.version.generation:
        return  # nobody wants it any more
    why = f"cannot fork: {reason}"
    state.tell("warning", f"{slot.service.name}: {why}")
    if falls_back(slot.service) and slot.failures + 1 >= state.policy.crash_loop_threshold:
        abandon(state, slot.service, f"{slot.service.name}: {why}")
    else:
        failed(state, slot, EXIT_SOFTWARE, why, now)


def get_ready(state: State, child: Child, now: float) -> None:
    """A worker serves."""
    if child.stage is not Stage.STARTING or (service := child.slot.service) is None:
        return
    if child.slot.serving():
        service.rejuvenate(child.slot)  # it takes the place of an older one
    child.enter(Stage.READY, now, inf)
    child.served = True
    service.ready += 1
    state.ready += 1
    state.mark(child.slot)
    if child.generation == service.version.generation:
        prove(state, service)
        caught_up(state, child.slot)
        begin_to_season(state, child, now)


def come_of_age(state: State, child: Child, now: float) -> None:
    """A worker has lived for long enough to count as ready, or for too long."""
    if child.stage is Stage.STARTING and child.ready_at <= now:
        get_ready(state, child, now)
    elif child.retire_at <= now:
        retire(state, child, "lived for max_worker_lifetime")


def retire(state: State, child: Child, why: str) -> None:
    """A worker serves, but is to be replaced."""
    if child.stage is Stage.READY and child.slot.service and not (child.retiring or state.stopping):
        child.retiring = why
        state.mark(child.slot)


def hang(state: State, child: Child, why: str, now: float) -> None:
    """A worker does not do what it is there for."""
    if child.stage in LIVE and child.slot.service:
        child.hung, child.deadline = why, now
        state.mark(child.slot)
