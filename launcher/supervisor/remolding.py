"""Re-molding: a copy of a worker that has served for a while becomes the mold, so that what it has loaded is shared.

Once a generation, when nothing else is under way.  The old mold is let go when the new one is ready, and goes on if
that never is; a worker that cannot be copied is no failure.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from launcher.supervisor.situation import grace
from launcher.supervisor.state import Child, Remold, Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Generation, Slot, State


def begin_to_season(state: State, child: Child, now: float) -> None:
    """A worker of the newest version serves from now on."""
    if child.slot.index == 0 and state.generations[child.generation].remolds:
        child.remold_at = now + _patience(child)


def remold(state: State, child: Child, now: float) -> Remold | None:
    """A worker is warm: ask for a copy of it, unless that has lost its sense; or see later."""
    child.remold_at = inf
    record, service = state.generations.get(child.generation), child.slot.service
    if record is None or service is None or service.version.generation != child.generation or not record.remolds:
        return None
    if state.stopping or child.stage is not Stage.READY or child.retiring or child.hung:
        return None
    if not _nothing_else(state, record):
        child.remold_at = now + _patience(child)
        return None
    state.serial += 1
    action = Remold(child.pid, child.seat, child.generation, state.serial)
    record.slot.pending, record.slot.pending_until = action, now + state.policy.startup_timeout
    state.pending[state.serial] = record.slot
    state.mark(record.slot)
    return action


def awaited(state: State, serial: int) -> Remold | None:
    """Return the Remold of this number, if it is not answered yet."""
    slot = state.pending.get(serial)
    return slot.pending if slot is not None and isinstance(slot.pending, Remold) else None


def born(state: State, asked: Remold, pid: int, now: float) -> None:
    """The copy of a worker was forked."""
    slot = _forget(state, asked)
    child = Child(pid, slot, slot.index, now, now + state.policy.startup_timeout)
    child.copy_of = asked.pid
    state.born(slot, child)


def refused(state: State, asked: Remold, reason: str) -> None:
    """A worker cannot be copied: what keeps it from that will be there in its generation's others, too."""
    _forget(state, asked)
    state.generations[asked.generation].remolds = False
    if not state.stopping:
        goes_on = f"generation {asked.generation} keeps the one it has"
        state.tell("warning", f"worker {asked.pid} cannot become the mold: {reason}; {goes_on}")


def put_off(state: State, asked: Remold, now: float) -> None:
    """A worker cannot be copied now; later it may."""
    _forget(state, asked)
    child = state.children.get(asked.pid)
    if child is not None:
        child.remold_at = now + _patience(child)
        state.mark(child.slot)


def unanswered(state: State, asked: Remold) -> None:
    """A worker does not say whether it could be copied."""
    refused(state, asked, "it does not answer")


def take_over(state: State, child: Child, now: float) -> None:
    """The copy of a worker is ready to fork, as the mold; the one that was is not needed any more."""
    if child.stage is not Stage.STARTING or not child.copy_of or state.stopping:
        return
    record = state.generations[child.generation]
    for old in record.slot.children:
        if old.stage is Stage.READY:  # it ends by itself once it has forked what it was asked for
            old.asked = True
            old.enter(Stage.STOPPING, now, min(grace(state, old), state.policy.startup_timeout))
    child.enter(Stage.READY, now, inf)
    child.served = True
    record.prepared, record.remolds = True, False
    record.slot.failures = 0
    state.mark(record.slot)
    record.wake(state)
    state.tell("info", f"generation {child.generation}: a copy of worker {child.copy_of} is its mold now, {child.pid}")


def worker_ended(state: State, child: Child) -> None:
    """A worker that was asked for a copy and has not answered never will."""
    record = state.generations.get(child.generation)
    if record is not None and isinstance(record.slot.pending, Remold) and record.slot.pending.pid == child.pid:
        _forget(state, record.slot.pending)


def mold_ended(state: State, child: Child, end: str, now: float) -> bool:
    """A mold was reaped; return whether the generation still has the one that it is forked from."""
    record = state.generations[child.generation]
    if isinstance(record.slot.pending, Remold):  # first another one must be loaded
        put_off(state, record.slot.pending, now)
    if not child.copy_of or child.served:
        return False
    record.remolds = False
    if record.prepared:
        state.tell("warning", f"a copy of worker {child.copy_of} {end} before it was the mold; the old one goes on")
    return record.prepared


def _nothing_else(state: State, record: Generation) -> bool:
    """Whether a generation is in force, and its mold ready and alone."""
    slot = record.slot
    alone = slot.pending is None and [each.stage for each in slot.children] == [Stage.READY]
    return alone and record.prepared and state.requested is None and state.rollout is None


def _patience(child: Child) -> float:
    service = child.slot.service
    patience = service.version.spec.remold_after if service else None
    return inf if patience is None else patience


def _forget(state: State, asked: Remold) -> Slot:
    """What was asked for is answered, or never will be; return the mold's slot."""
    slot = state.pending.pop(asked.serial)
    slot.pending = None
    state.mark(slot)
    return slot
