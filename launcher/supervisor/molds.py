"""What molds say and how they end: a generation is loaded, refused, put off, or lost and loaded again."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from launcher.errors import EXIT_CONFIG, EXIT_SOFTWARE
from launcher.supervisor.ends import give_up
from launcher.supervisor.pacing import backoff
from launcher.supervisor.remolding import mold_ended
from launcher.supervisor.rollout import add, adopt, answer, fall_back
from launcher.supervisor.situation import grace, in_use
from launcher.supervisor.state import Child, Spawn, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.settings import Policy, ServiceSpec
    from launcher.supervisor.state import Slot, State

SIGNALLED = 128  # an exit code above it is 128 + the signal


def started(state: State, generation: int, pid: int, now: float) -> None:
    """The mold of a generation was forked."""
    slot = state.generations[generation].slot
    slot.pending = None
    state.born(slot, Child(pid, slot, generation, now, now + state.policy.startup_timeout))


def loading(state: State, generation: int, startup_timeout: float) -> None:
    """A mold has read how many seconds it may take from its fork until it has loaded the application."""
    record = state.generations.get(generation)
    for child in record.slot.children if record else ():
        if child.stage is Stage.STARTING:
            child.deadline = child.since + startup_timeout
            state.mark(child.slot)


def prepared(state: State, generation: int, services: Iterable[ServiceSpec], policy: Policy, now: float) -> None:
    """A generation can be spawned from.  Told again, it adds the services that are new."""
    record = state.generations.get(generation)
    if record is None or state.stopping or not in_use(state, generation):
        return
    if record.slot.children and not record.slot.live():
        return  # too late: the mold is being killed
    for child in record.slot.live():
        child.enter(Stage.READY, now, inf)
        child.served = True
    record.slot.pending, record.prepared = None, True
    state.mark(record.slot)
    if generation == state.requested:
        state.requested = None
        state.policy = policy
        adopt(state, generation, {spec.name: spec for spec in services})
    else:
        add(state, generation, services)
    record.wake(state)


def leaves(state: State, generation: int, now: float) -> None:
    """The mold of a prepared generation ends by itself: nothing is forked by it."""
    record = state.generations.get(generation)
    for child in record.slot.live() if record and record.prepared else ():
        child.asked = True
        child.enter(Stage.STOPPING, now, grace(state, child))
        state.mark(child.slot)


def refused(state: State, generation: int, code: int, reason: str, now: float) -> None:
    """A generation could not be loaded; `reason` is for people, `code` for the container's end."""
    record = state.generations.get(generation)
    if record is None or record.prepared:
        return
    record.slot.pending = None
    for child in record.slot.live():  # it has said why and is about to end
        child.asked = True
        child.enter(Stage.STOPPING, now, grace(state, child))
    state.mark(record.slot)
    preparation_failed(state, generation, code, reason, now)


def deferred(state: State, generation: int, reason: str, now: float) -> None:
    """The mold could not be forked for want of resources: another try may succeed."""
    record = state.generations.get(generation)
    if record is None:
        return
    record.slot.pending = None
    record.slot.failures += 1
    record.slot.not_before = now + backoff(state.policy, record.slot.failures + 1)
    state.mark(record.slot)
    state.tell("warning", f"generation {generation}: {reason}; trying again")
    if record.slot.failures >= state.policy.crash_loop_threshold and not state.ready:
        give_up(state, EXIT_SOFTWARE, reason, now)


def ended(state: State, child: Child, code: int, cause: str, now: float) -> None:
    """A mold was reaped, and whatever it was asked for meanwhile is lost."""
    for seat in state.lost.values():  # what an earlier mold forked has been heard of by now
        state.seats.give_back(seat)
    state.lost.clear()
    for serial, slot in list(state.pending.items()):
        if isinstance(slot.pending, Spawn) and slot.asked is child:
            del state.pending[serial]
            state.lost[serial] = slot.pending.seat
            slot.pending = None
            state.mark(slot)
    record = state.generations.get(child.generation)
    if record is None or child.asked:
        return
    end = f"ended with {code}: {cause}" if cause else f"ended with {code}"
    if mold_ended(state, child, end, now):
        return
    if not record.prepared:
        late = child.stage in (Stage.ABORTED, Stage.KILLED)
        why = "did not load the application within startup_timeout" if late else _ended_loading(end, cause)
        # What a signal ended may do better the next time; an exit is what the code makes of being imported.
        preparation_failed(state, child.generation, code if code > SIGNALLED else EXIT_CONFIG, f"the mold {why}", now)
        return
    record.prepared = False
    if child.stage is Stage.READY and now - child.since >= state.policy.crash_loop_window:
        child.slot.failures = 0
    lost(state, child.slot, code, f"the mold of generation {child.generation} {end}", now)


def _ended_loading(end: str, cause: str) -> str:
    return f"{end}, while loading" if cause else f"{end} while loading the application"


def preparation_failed(state: State, generation: int, code: int, reason: str, now: float) -> None:
    """A generation could not be loaded: the first one is the end, of another one there is a better."""
    if state.stopping:
        return
    if generation != state.requested:
        lost(state, state.generations[generation].slot, code, reason, now)
        return
    state.requested = None
    answer(state, generation, reason)
    if not state.services:
        give_up(state, code or EXIT_SOFTWARE, reason, now)
    else:
        state.tell("error", f"reload refused: {reason}; everything goes on as it was")


def lost(state: State, slot: Slot, code: int, reason: str, now: float) -> None:
    """What a generation is spawned from is gone: load it again, its workers are not touched."""
    slot.failures += 1
    slot.not_before = now + backoff(state.policy, slot.failures)
    if slot.failures < state.policy.crash_loop_threshold:
        state.tell("warning", f"{reason}; loading it again")
    elif not state.ready:
        give_up(state, code or EXIT_SOFTWARE, reason, now)
    else:
        fall_back(state, slot.index, reason)
