"""What to do about one slot, which is seen as a whole: end what is late or not wanted, then fill what lacks."""

from __future__ import annotations

from math import inf
from signal import Signals
from typing import TYPE_CHECKING

from launcher.supervisor.ends import leaves_ready, worker_given_up
from launcher.supervisor.pacing import count_fork, take_turn, throttled, yield_turn
from launcher.supervisor.remolding import remold, unanswered
from launcher.supervisor.situation import (
    dumps_stacks,
    grace,
    lacks,
    next_event,
    unprepared,
    vacant,
    wanted,
    why_late,
    why_unwanted,
)
from launcher.supervisor.state import LIVE, Kill, Prepare, Remold, Spawn, Stage
from launcher.supervisor.workers import come_of_age

if TYPE_CHECKING:
    from launcher.supervisor.state import Action, Child, Service, Slot, State


def decide(state: State, slot: Slot, now: float) -> Action | None:
    """Name the one thing to do about a slot now, or None."""
    for child in slot.children:  # all of them first: one that gets ready may take the place of another
        if next_event(state, child) <= now < child.deadline:
            come_of_age(state, child, now)  # which may make another one of them unwanted
    for child in slot.children:
        if child.stage in LIVE and not wanted(state, child):
            return ask_to_end(state, child, now)
        if child.deadline <= now:
            return escalate(state, child, now)
        if child.remold_at <= now and (action := remold(state, child, now)) is not None:
            return action
    if slot.pending is not None:
        return overdue_answer(state, slot, now)
    if slot.service is not None:
        return fill(state, slot, slot.service, now)
    return prepare(state, slot, now)


def next_look(state: State, slot: Slot, now: float) -> float:
    """When to look at a slot again if nothing happens to it."""
    looks = [next_event(state, child) for child in slot.children]
    if isinstance(slot.pending, Spawn | Remold):
        looks.append(slot.pending_until)
    elif slot.not_before > now and lacks(state, slot):
        looks.append(slot.not_before)
    return min(looks, default=inf)


def ask_to_end(state: State, child: Child, now: float) -> Kill:
    if child.stage is Stage.READY:
        leaves_ready(state, child, now)
    child.asked = True
    child.enter(Stage.STOPPING, now, grace(state, child))
    return Kill(child.pid, Signals.SIGTERM, why_unwanted(state, child))


def escalate(state: State, child: Child, now: float) -> Kill:
    """A child has overstayed its stage or hangs: first its stacks, then its end."""
    stage, why = child.stage, why_late(state, child)
    if stage is Stage.READY:
        leaves_ready(state, child, now)
    if state.at_once or stage is Stage.ABORTED or not dumps_stacks(child):
        signum = Signals.SIGKILL
        child.enter(Stage.KILLED, now, inf)
    else:
        signum = Signals.SIGABRT
        child.enter(Stage.ABORTED, now, state.policy.abort_timeout)
    if stage in LIVE and not state.at_once:
        worker_given_up(state, child, signum, why, now)
    return Kill(child.pid, signum, why)


def fill(state: State, slot: Slot, service: Service, now: float) -> Spawn | None:
    """Spawn what the slot lacks; where a worker serves on meanwhile, one slot at a time."""
    generation = service.version.generation
    if (following := yield_turn(slot, service)) is not None:
        state.mark(following)
    if not vacant(state, slot, service) or slot.not_before > now:
        return None
    record = state.generations[generation]
    if not record.prepared:
        record.waiting[slot] = None
        return None
    if throttled(slot, service, now) or not take_turn(slot, service):
        return None
    count_fork(service, now)
    service.empty.pop(slot, None)
    if not slot.serving():
        service.rejuvenate(slot)
    state.serial += 1
    seasons = slot.index == 0 and service.version.spec.remold_after is not None
    spawn = Spawn(service.name, slot.index, generation, state.serial, state.seats.take(), seasons)
    slot.pending, slot.pending_until = spawn, now + state.policy.startup_timeout
    slot.asked = record.mold()
    state.pending[state.serial] = slot
    return spawn


def prepare(state: State, slot: Slot, now: float) -> Prepare | None:
    """Load a generation that somebody needs and nobody holds."""
    if not unprepared(state, slot) or slot.not_before > now:
        return None
    prepare = Prepare(slot.index)
    slot.pending, slot.pending_until = prepare, inf
    return prepare


def overdue_answer(state: State, slot: Slot, now: float) -> Kill | None:
    """A mold that does not answer a Spawn hangs: end it, and another one takes over."""
    if slot.pending_until > now or isinstance(slot.pending, Prepare):
        return None
    slot.pending_until = inf
    if isinstance(slot.pending, Remold):
        unanswered(state, slot.pending)
        return None
    mold = None if state.stopping else slot.asked  # which is told to end anyway
    if mold is not None and mold.stage in LIVE:
        mold.enter(Stage.ABORTED, now, state.policy.abort_timeout)
        state.mark(mold.slot)
        return Kill(mold.pid, Signals.SIGABRT, "the mold does not answer")
    return None
