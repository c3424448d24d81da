"""The supervisor's decisions: a pure state machine.

Nothing in it forks, signals, logs or reads a clock.  Input methods record what happened and mark the
slots it concerns.  `next_action` looks at marked slots only, each as a whole, and names the one thing
to do now; so no answer goes stale in a queue and an event costs O(log n).  `deadline` says when to ask
again even if nothing happens.

This is its face; its rooms are state.py (what it remembers), situation.py (how things stand),
decisions.py (what to do about a slot), molds.py, remolding.py, ends.py and rollout.py (what events mean),
pacing.py and agenda.py.

Rules it keeps, each held by tests/property/: no spawn after stop; never more than one surplus live
worker a service; a reload stops no worker before its replacement is ready; a reload that fails keeps
the old generation serving; a child gets at most one TERM, one ABRT and one KILL, and none once it was
reaped; an unknown PID changes nothing; a stop ends in bounded time; at a deadline there is something
to do.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from launcher.supervisor import molds, remolding, rollout, workers
from launcher.supervisor.decisions import decide, next_look
from launcher.supervisor.ends import begin_stop, exit_code, worker_ended
from launcher.supervisor.situation import in_use, preparing
from launcher.supervisor.state import NO_SEAT, CloseListeners, Finish, RunPreStop, Stage, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from launcher.supervisor.settings import Policy, ServiceSpec
    from launcher.supervisor.state import Action, Slot

__all__ = ["Core", "exit_code"]


class Core:
    """The whole state of a supervisor, and what to do about it.

    Parameters: the policy that holds until a generation brings its own; where chance comes from, 0 to 1.
    """

    def __init__(self, policy: Policy, random: Callable[[], float] = random.random) -> None:
        self.state = State(policy, random)
        self.services = self.state.services
        self.generations = self.state.generations
        self.children = self.state.children
        self.reload()

    @property
    def requested(self) -> int | None:
        """The generation that a reload is waiting for."""
        return self.state.requested

    @property
    def stopping(self) -> bool:
        """Whether everything is to end."""
        return self.state.stopping

    # What happened to molds

    def prepare_started(self, generation: int, pid: int, now: float) -> None:
        """The mold of a generation was forked."""
        molds.started(self.state, generation, pid, now)

    def loading(self, generation: int, startup_timeout: float) -> None:
        """A mold has read how many seconds it may take from its fork until it has loaded the application."""
        molds.loading(self.state, generation, startup_timeout)

    def prepared(self, generation: int, services: Iterable[ServiceSpec], policy: Policy, now: float) -> None:
        """A generation can be spawned from.  Told again, it adds the services that are new."""
        molds.prepared(self.state, generation, services, policy, now)

    def mold_leaves(self, generation: int, now: float) -> None:
        """The mold of a prepared generation ends by itself, and is not missed: nothing is forked by it."""
        molds.leaves(self.state, generation, now)

    def prepare_failed(self, generation: int, code: int, reason: str, now: float) -> None:
        """A generation could not be loaded; `reason` is for people, `code` for the container's end."""
        molds.refused(self.state, generation, code, reason, now)

    def prepare_deferred(self, generation: int, reason: str, now: float) -> None:
        """The mold could not be forked for want of resources: another try may succeed."""
        molds.deferred(self.state, generation, reason, now)

    # What happened to workers

    def spawned(self, serial: int, pid: int, now: float) -> None:
        """A worker was forked, in answer to the Spawn of that serial number, or a mold, to a Remold."""
        if (asked := remolding.awaited(self.state, serial)) is not None:
            remolding.born(self.state, asked, pid, now)
        else:
            workers.spawned(self.state, serial, pid, now)

    def spawn_failed(self, serial: int, reason: str, now: float) -> None:
        """A worker could not be forked, or a mold by a worker."""
        if (asked := remolding.awaited(self.state, serial)) is not None:
            remolding.refused(self.state, asked, reason)
        else:
            workers.spawn_failed(self.state, serial, reason, now)

    def remold_put_off(self, serial: int, now: float) -> None:
        """A worker cannot be copied now, for it has requests in flight; later it may."""
        if (asked := remolding.awaited(self.state, serial)) is not None:
            remolding.put_off(self.state, asked, now)

    def ready(self, pid: int, now: float) -> None:
        """A worker serves; or the mold that one has become is ready to fork."""
        if (child := self.children.get(pid)) is None:
            return
        if child.slot.service is not None:
            workers.get_ready(self.state, child, now)
        elif child.slot is not self.state.strays:
            remolding.take_over(self.state, child, now)

    def hung(self, pid: int, why: str, now: float) -> None:
        """A worker serves nobody and will not: it is asked for its stacks, killed and replaced, a failure."""
        if (child := self.children.get(pid)) is not None:
            workers.hang(self.state, child, why, now)

    def retire(self, pid: int, why: str, now: float) -> None:  # noqa: ARG002 - every event has its time
        """A worker that serves is to be replaced by a fresh one, which is ready first; one at a time a service."""
        if (child := self.children.get(pid)) is not None:
            workers.retire(self.state, child, why)

    def says(self, pid: int, text: str) -> None:
        """A worker tells people what it does."""
        if (child := self.children.get(pid)) is not None:
            child.says = text

    def exited(self, pid: int, status: int, now: float, cause: str = "") -> None:
        """A child was reaped, with a status as of `os.waitstatus_to_exitcode`; `cause` says more to people.

        As PID 1 we adopt orphans: it may not be ours.
        """
        child = self.children.pop(pid, None)
        if child is None:
            return
        child.slot.children.remove(child)
        self.state.mark(child.slot)
        if self.stopping:  # it may have been the last that a mold was kept for
            for record in self.state.generations.values():
                self.state.mark(record.slot)
        if child.seat != NO_SEAT:
            self.state.seats.give_back(child.seat)
        if child.slot.service is not None:
            remolding.worker_ended(self.state, child)
            worker_ended(self.state, child, exit_code(status), cause, now)
        elif child.slot is not self.state.strays:
            molds.ended(self.state, child, exit_code(status), cause, now)

    # What somebody asked for

    def reload(self) -> int:
        """Ask for a new generation of configuration and code, and return it; 0 while stopping.

        `Reloaded` tells what became of it.  Asked again meanwhile, the newest counts.
        """
        return 0 if self.state.stopping else rollout.ask(self.state)

    def scale(self, name: str, target: int) -> None:
        """Set how many workers a service shall have until the next reload; the youngest leave.

        Raises KeyError and ValueError.
        """
        if target < 0:
            raise ValueError(f"{target} workers")
        service = self.services[name]
        if not service.version.workers:
            raise KeyError(f"{name} was dropped by the last reload")
        service.fallback = None
        rollout.resize(self.state, service, target)

    def stop(self, now: float) -> None:
        """End everything gracefully.  Asked again, it changes nothing."""
        state = self.state
        if state.stopping:
            return
        begin_stop(state, now)
        if state.policy.pre_stop_timeout > 0:
            state.pre_stop, state.terminate_at = True, max(state.drained_at, now + state.policy.pre_stop_timeout)

    def pre_stop_ended(self, now: float) -> None:
        """The pre_stop hook is over: the workers wait for no more than `drain_delay`."""
        self.state.terminate_at = min(self.state.terminate_at, max(self.state.drained_at, now))

    def stop_at_once(self, now: float) -> None:
        """End everything now: KILL follows TERM without grace."""
        self.stop(now)
        state = self.state
        state.at_once, state.pre_stop, state.terminate_at = True, False, min(now, state.terminate_at)
        for child in self.children.values():
            if child.stage in (Stage.STOPPING, Stage.ABORTED):
                child.deadline = min(now, child.deadline)
        state.mark_all()

    # What to do about it

    def next_action(self, now: float) -> Action | None:
        """Name the one thing to do now, or None.  The caller does it, tells, and asks again."""
        state = self.state
        if not state.news and (action := self._next_of_stop(now)) is not None:
            return action
        while not state.news and (slot := state.agenda.first(now)) is not None:
            if (action := decide(state, slot, now)) is not None:
                return action
            self._tidy(slot)
            state.agenda.settle(next_look(state, slot, now))
        if state.news:
            return state.news.popleft()
        if state.terminating and not (state.finished or self.children or state.pending or preparing(state)):
            state.finished = True
            return Finish(*state.end)
        return None

    def deadline(self) -> float:
        """When to call `next_action` again if nothing happens before."""
        due = self.state.agenda.deadline()
        return due if self.state.terminating else min(due, self.state.terminate_at)

    def _next_of_stop(self, now: float) -> Action | None:
        state = self.state
        if state.pre_stop:
            state.pre_stop = False
            return RunPreStop()
        if state.stopping and not state.terminating and now >= state.terminate_at:
            state.terminating = True
            state.mark_all()
            return CloseListeners()
        return None

    def _tidy(self, slot: Slot) -> None:
        if slot.pending is not None:
            return
        if slot.service is not None:
            slot.service.notice_empty(slot)
        elif not (slot.children or in_use(self.state, slot.index)):
            self.generations.pop(slot.index, None)
