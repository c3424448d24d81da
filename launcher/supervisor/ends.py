"""What the end of a worker means: nothing, a failure, a crash loop, a failed reload, or the end of all."""

from __future__ import annotations

from signal import Signals
from typing import TYPE_CHECKING

from launcher.errors import EXIT_CONFIG, EXIT_SOFTWARE
from launcher.supervisor.pacing import backoff, is_crash_loop
from launcher.supervisor.rollout import abandon, answer, caught_up, falls_back, interrupt
from launcher.supervisor.situation import all_over
from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Child, Service, Slot, State

KILLED_CODE = 128 + Signals.SIGKILL
STOPPING = "stopping"  # the error of a reload that a stop has overtaken


def exit_code(status: int) -> int:
    """Translate `os.waitstatus_to_exitcode`'s value as shells do: 128+n for death by signal n."""
    return status if status >= 0 else 128 - status


def worker_ended(state: State, child: Child, code: int, cause: str, now: float) -> None:
    """A worker was reaped; `cause` is for people, where more is known than the code."""
    if child.stage is Stage.READY:
        leaves_ready(state, child, now)
    if child.asked:
        if state.stopping and child.stage in (Stage.ABORTED, Stage.KILLED) and not state.end[0]:
            late = f"did not end in time and {cause or 'was killed'}"
            why = "was killed, as the stop was to be at once" if state.at_once else late
            state.end = KILLED_CODE, f"{_name(child)}: worker {child.pid} {why}"
    elif not (child.failed or state.stopping):
        when = "unasked" if child.served else "before it was ready"
        end = f"worker {child.pid} ended with {code} {when}"
        worker_failed(state, child, code, f"{end}: {cause}" if cause else end, now)


def worker_given_up(state: State, child: Child, signum: Signals, why: str, now: float) -> None:
    """A worker is late or hangs and is sent this signal to end it: its failure, however long its end takes."""
    if child.slot.service is not None and not state.stopping:
        child.failed = True
        worker_failed(state, child, exit_code(-signum), f"worker {child.pid} {why}", now)


def worker_failed(state: State, child: Child, code: int, end: str, now: float) -> None:
    """A worker that was not asked to end is lost."""
    slot, service = child.slot, child.slot.service
    if service is None:
        return
    service.last_end = end
    reason = f"{service.name}: {end}"
    starting = not child.served
    if _is_over(slot, service, code) and not (code and starting and falls_back(service)):
        _over(state, slot, code, reason, now)
    elif starting and falls_back(service) and child.generation == service.version.generation:
        abandon(state, service, reason)
    elif starting and service.proven is None and code == EXIT_CONFIG and not service.ready:
        give_up(state, EXIT_CONFIG, reason, now)
    else:
        failed(state, slot, code, end, now)


def leaves_ready(state: State, child: Child, now: float) -> None:
    """A worker serves no more."""
    service = child.slot.service
    if service is None:
        return
    service.ready -= 1
    state.ready -= 1
    if now - child.since >= state.policy.crash_loop_window:
        child.slot.failures = service.failures = 0
        service.crash_looping = False


def failed(state: State, slot: Slot, code: int, end: str, now: float) -> None:
    """A slot has lost its worker, or could not get one: wait a little longer each time, and give up some day."""
    if (service := slot.service) is None:
        return
    if not service.failures:
        service.failing_since = now
    slot.failures += 1
    service.failures += 1
    slot.not_before = now + backoff(state.policy, slot.failures)
    if not is_crash_loop(state.policy, slot, service, now):
        return
    crash_loop = f"crash loop: {service.failures} failures in a row, the last: {service.name}: {end}"
    if code == 0:
        crash_loop += f"; is its work done, set restart = {service.name}=on-failure, else keep it in the foreground"
    if state.rollout is not None and slot in state.rollout.behind.get(service, ()):
        interrupt(state, crash_loop)
    if service.ready:
        return
    if state.policy.exit_on_crash_loop:
        give_up(state, code or EXIT_SOFTWARE, crash_loop, now)
    elif not service.crash_looping:
        service.crash_looping = True
        state.tell("error", f"{crash_loop}; going on")


def give_up(state: State, code: int, reason: str, now: float) -> None:
    """End everything now, for this reason."""
    if state.stopping:
        return
    state.end = code, reason
    begin_stop(state, now)
    state.terminate_at = now


def begin_stop(state: State, now: float) -> None:
    """End everything gracefully."""
    state.stopping = True
    state.drained_at = now + state.policy.drain_delay if state.ready else now
    state.terminate_at = state.drained_at
    if state.requested is not None:
        answer(state, state.requested, STOPPING)
        state.requested = None
    interrupt(state, STOPPING)
    state.mark_all()


def _is_over(slot: Slot, service: Service, code: int) -> bool:
    """Whether nobody follows the worker that ended with this code."""
    spec = service.version.spec
    if slot.pending is not None or slot.live():
        return False
    return spec.restart == "never" or (spec.restart == "on-failure" and code == 0)


def _over(state: State, slot: Slot, code: int, reason: str, now: float) -> None:
    """A worker has ended for good; when all have, the whole ends."""
    if (service := slot.service) is None or not slot.open or slot.over:
        return
    slot.over = True
    service.over += 1
    if code:
        state.last_failure = code, reason
    caught_up(state, slot)
    if all_over(state):
        give_up(state, *state.last_failure, now)


def _name(child: Child) -> str:
    return child.slot.service.name if child.slot.service else "mold"
