"""The mutants: each one way to get the core wrong, as somebody might."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """In the file `where`, `old` becomes `new`, which `breaks` something; `survives`: why nothing can notice."""

    where: str
    old: str
    new: str
    breaks: str
    survives: str = ""


MUTANTS = (
    # What to do about a slot
    Mutant(
        "decisions.py",
        "        if next_event(state, child) <= now < child.deadline:\n",
        "        if False:\n",
        "nobody comes of age",
    ),
    Mutant(
        "decisions.py",
        "    for child in slot.children:\n        if child.stage in LIVE",
        "        if child.stage in LIVE",
        "one that comes of age does not replace another in the same look",
    ),
    Mutant(
        "decisions.py",
        "        leaves_ready(state, child, now)\n    child.asked = True",
        "        pass\n    child.asked = True",
        "who is told to end still counts as ready",
    ),
    Mutant("decisions.py", "    child.asked = True\n", "", "an end that was asked for is a failure"),
    Mutant(
        "decisions.py",
        "    if state.at_once or stage is Stage.ABORTED or not",
        "    if state.at_once or not",
        "ABRT again, never KILL",
    ),
    Mutant(
        "decisions.py",
        "        worker_given_up(state, child, signum, why, now)\n",
        "        pass\n",
        "a worker that is late is a failure only when it is gone",
    ),
    Mutant("decisions.py", " or not take_turn(slot, service):", ":", "all workers are replaced at once"),
    Mutant(
        "decisions.py",
        "or slot.not_before > now:\n        return None\n    record",
        "and slot.not_before > now:\n        return None\n    record",
        "a slot is filled twice",
    ),
    Mutant(
        "decisions.py",
        "    if not unprepared(state, slot) or slot.not_before > now:",
        "    if not unprepared(state, slot):",
        "no back-off for a mold",
    ),
    Mutant(
        "decisions.py",
        "    elif slot.not_before > now and lacks(state, slot):\n        looks.append(slot.not_before)\n",
        "",
        "nobody wakes after a back-off",
    ),
    Mutant(
        "decisions.py",
        "        looks.append(slot.pending_until)\n",
        "        pass\n",
        "nobody wakes for a mold that does not answer",
    ),
    Mutant(
        "decisions.py", "    slot.pending_until = inf\n", "", "wakes again and again for a mold that does not answer"
    ),
    # How things stand
    Mutant(
        "situation.py",
        "    if state.terminating or not slot.open:",
        "    if not slot.open:",
        "a stop does not stop the workers",
    ),
    Mutant(
        "situation.py",
        "    if state.terminating or not slot.open:",
        "    if state.terminating:",
        "scaled down, nobody leaves",
    ),
    Mutant(
        "situation.py",
        "    return child in ready[-1:] and",
        "    return child in ready and",
        "two outdated workers serve on in one slot",
    ),
    Mutant(
        "situation.py",
        "    return child in ready[-1:] and not any(each in heirs for each in ready)",
        "    return child in ready[-1:]",
        "outdated workers are kept for ever",
    ),
    Mutant(
        "situation.py",
        "    return child in ready[-1:] and",
        "    return False and",
        "a reload stops workers before their replacements are ready",
    ),
    Mutant(
        "situation.py",
        " and child.stage is Stage.READY and molds_stay(state)",
        " and child.stage is Stage.READY",
        "a stop does not stop the molds",
    ),
    Mutant(
        "situation.py",
        "    if state.stopping or not slot.open or slot.pending is not None or slot.over:",
        "    if not slot.open or slot.pending is not None or slot.over:",
        "spawns while stopping",
    ),
    Mutant(
        "situation.py",
        "or slot.pending is not None or slot.over:",
        "or slot.pending is not None:",
        "who has ended for good is replaced",
    ),
    Mutant(
        "situation.py",
        "return min(child.deadline, child.retire_at, child.remold_at)",
        "return child.deadline",
        "nobody is ever too old",
    ),
    Mutant(
        "situation.py",
        "return min(child.deadline, child.ready_at)",
        "return child.deadline",
        "ready_after is forgotten",
    ),
    Mutant("situation.py", "    if state.at_once:\n        return 0.0\n", "", "a stop at once has grace"),
    Mutant(
        "situation.py",
        "    return all(service.over",
        "    return any(service.over",
        "one service that has ended for good ends all",
    ),
    # Ends
    Mutant("ends.py", "128 - status", "-status", "death by a signal is not 128 and its number"),
    Mutant(
        "ends.py",
        "child.stage in (Stage.ABORTED, Stage.KILLED) and not",
        "child.stage is Stage.KILLED and not",
        "dead of its stack dump in a stop: the code is 0",
    ),
    Mutant(
        "ends.py",
        "    elif not (child.failed or state.stopping):",
        "    elif not state.stopping:",
        "a worker that was given up fails twice",
    ),
    Mutant(
        "ends.py",
        "code == EXIT_CONFIG and not service.ready:",
        "code == EXIT_CONFIG:",
        "gives up for 78 while something of the service serves",
    ),
    Mutant(
        "ends.py",
        "        child.slot.failures = service.failures = 0\n",
        "",
        "who was healthy for long is not forgiven",
    ),
    Mutant(
        "ends.py", "    if service.ready:\n        return\n", "", "gives up although something of the service serves"
    ),
    Mutant(
        "ends.py", "    slot.not_before = now + backoff(state.policy, slot.failures)\n", "", "no back-off for a worker"
    ),
    Mutant("ends.py", "now + state.policy.drain_delay if state.ready else now", "now", "no drain"),
    Mutant(
        "ends.py", "        answer(state, state.requested, STOPPING)\n", "", "a stop leaves a reload without answer"
    ),
    Mutant("ends.py", "    interrupt(state, STOPPING)\n", "", "a stop leaves a rollout without answer"),
    Mutant(
        "ends.py",
        "    if slot.pending is not None or slot.live():\n",
        "    if slot.pending is not None:\n",
        "over, although another one serves in its place",
    ),
    Mutant(
        "ends.py",
        "        state.last_failure = code, reason\n",
        "        pass\n",
        "all have ended for good, one badly: the code is 0",
    ),
    # Reloads
    Mutant(
        "rollout.py", "        answer(state, state.requested, SUPERSEDED)\n", "", "a superseded reload has no answer"
    ),
    Mutant("rollout.py", "    interrupt(state, SUPERSEDED)\n", "", "a superseded rollout has no answer"),
    Mutant(
        "rollout.py",
        "        if not rollout.unproven:\n",
        "        if rollout:\n",
        "what leaves is dropped before what comes is ready",
    ),
    Mutant(
        "rollout.py",
        "    if not rollout.behind:\n        _in_force(state, rollout)\n\n\ndef falls",
        "    if rollout:\n        _in_force(state, rollout)\n\n\ndef falls",
        "in force before all slots are ready",
    ),
    Mutant(
        "rollout.py",
        "            prove(state, service)\n",
        "            pass\n",
        "in force, yet falls back to an older generation",
    ),
    Mutant(
        "rollout.py",
        "    interrupt(state, reason)\n    _hold",
        "    _hold",
        "a reload that failed is told to be in force",
    ),
    Mutant(
        "rollout.py",
        "    _hold(state, service, proven, proven)\n",
        "    _hold(state, service, service.version, proven)\n",
        "a failed reload is tried again for ever",
    ),
    Mutant(
        "rollout.py",
        "next(reversed(service.empty or service.open))",
        "next(iter(service.empty or service.open))",
        "scaled down, the oldest leave",
    ),
    Mutant(
        "rollout.py",
        "next(reversed(service.empty or service.open))",
        "next(reversed(service.open))",
        "scaled down, one that serves leaves and one that does not stays",
    ),
    Mutant(
        "rollout.py",
        "    reopen(service, slot)\n    state.mark(slot)\n",
        "    reopen(service, slot)\n",
        "nobody looks at a closed slot",
    ),
    # Pace
    Mutant(
        "pacing.py",
        "        service.queue.pop(slot, None)",
        "        pass",
        "one that needs no turn is offered it, and keeps it from the others",
    ),
    Mutant("pacing.py", "    return following\n", "    return None\n", "the turn is never offered on"),
    Mutant(
        "pacing.py",
        "if service.turn is slot and not (coming and slot.serving()):",
        "if service.turn is slot and not coming and not slot.serving():",
        "the turn is kept for ever",
    ),
    Mutant("pacing.py", "    if failures <= 1:\n", "    if failures <= 0:\n", "the first restart is delayed"),
    # Molds
    Mutant(
        "molds.py",
        "        return  # too late: the mold is being killed\n",
        "        pass\n",
        "spawns from a mold that is being killed",
    ),
    Mutant(
        "molds.py",
        "            slot.pending = None\n            state.mark(slot)\n",
        "            state.mark(slot)\n",
        "a lost mold's spawns are awaited for ever",
    ),
    Mutant(
        "molds.py",
        "        fall_back(state, slot.index, reason)\n",
        "        pass\n",
        "a generation that cannot be loaded any more is waited for",
    ),
    Mutant(
        "molds.py",
        "    slot.not_before = now + backoff(state.policy, slot.failures)\n    if slot.failures <",
        "    if slot.failures <",
        "a lost mold is loaded again and again without back-off",
    ),
    Mutant("molds.py", "    record.prepared = False\n", "", "spawns from a mold that is gone"),
    Mutant("molds.py", "        state.policy = policy\n", "", "a new generation's policy is not taken up"),
    Mutant(
        "molds.py",
        "        state.requested = None\n        state.policy",
        "        state.policy",
        "one generation is taken up twice",
    ),
    # Workers
    Mutant(
        "workers.py",
        "        state.born(state.strays, ",
        "        return\n        state.born(state.strays, ",
        "a worker of a lost mold is taken for an orphan",
    ),
    Mutant("workers.py", "    state.seats.give_back(asked.seat)\n", "", "a failed fork keeps its seat"),
    Mutant(
        "workers.py",
        "        child.hung, child.deadline = why, now\n",
        "        child.hung = why\n",
        "one that hangs is left alone",
    ),
    Mutant("workers.py", "        child.retiring = why\n", "        pass\n", "nobody retires"),
    Mutant(
        "workers.py",
        "    if version.generation == generation and (patience",
        "    if (patience",
        "an outdated worker counts as ready by another generation's clock",
    ),
    # Re-molding
    Mutant(
        "molds.py",
        "    if mold_ended(state, child, end, now):\n        return\n",
        "",
        "a copy that does not become the mold takes the old one with it",
    ),
    Mutant(
        "molds.py",
        "slot.asked is child",
        "slot.pending.generation == child.generation",
        "what the copy was asked for is lost with the old mold",
    ),
    Mutant("remolding.py", "            old.asked = True\n", "", "the end of the old mold is a loss"),
    Mutant(
        "remolding.py", " and state.rollout is None", "", "a worker is copied before all of its generation is in force"
    ),
    Mutant(
        "remolding.py", "record.prepared, record.remolds = True, False", "record.prepared = True", "copies for ever"
    ),
    Mutant(
        "remolding.py",
        "record.prepared, record.remolds = True, False",
        "record.remolds = False",
        "a copy that takes the place of a dead mold is not asked",
    ),
    Mutant("remolding.py", "    record.wake(state)\n", "", "nor by slots that have waited for it"),
    Mutant(
        "remolding.py",
        "        put_off(state, record.slot.pending, now)\n",
        "        pass\n",
        "a mold that dies is not loaded again while a worker is asked",
    ),
    Mutant(
        "core.py",
        "            remolding.worker_ended(self.state, child)\n",
        "",
        "a worker that died is waited for",
    ),
    Mutant(
        "decisions.py",
        "isinstance(slot.pending, Spawn | Remold)",
        "isinstance(slot.pending, Spawn)",
        "a worker that does not answer is waited for",
    ),
    # The face
    Mutant(
        "core.py",
        "            self.state.seats.give_back(child.seat)\n",
        "            pass\n",
        "the dead keep their seats",
    ),
    Mutant(
        "core.py",
        "                child.deadline = min(now, child.deadline)\n",
        "                pass\n",
        "a second INT does not cut the grace short",
    ),
    Mutant(
        "core.py",
        "state.finished or self.children or state.pending or",
        "state.finished or self.children or",
        "finishes before a fork on its way is answered",
    ),
    Mutant(
        "core.py",
        "        if state.news:\n            return state.news.popleft()\n        if state.terminating",
        "        if state.terminating",
        "news of one that came of age waits for something else to happen",
    ),
    Mutant(
        "core.py",
        "max(state.drained_at, now + state.policy.pre_stop_timeout)",
        "state.drained_at",
        "TERM before the pre_stop hook has ended",
    ),
    Mutant("core.py", "        service.fallback = None\n", "", "a reload that fails undoes a scaling"),
    # The agenda
    Mutant("agenda.py", "            slot.marked = True\n", "", "a slot stands in the queue twice"),
    Mutant("agenda.py", "            if slot.wake == when:\n", "            if slot:\n", "an outdated time wakes"),
    Mutant(
        "agenda.py", "        if wake == slot.wake:\n            return\n", "", "a time is pushed again at every look"
    ),
)
