"""What the end of a worker means: nothing, a failure, a crash loop, a failed reload, or the end of all."""

from __future__ import annotations

from signal import Signals
from typing import TYPE_CHECKING

from launcher.errors import EXIT_CONFIG, EXIT_SOFTWARE
from launcher.supervisor.pacing import backoff, is_crash_loop
from launcher.supervisor.rollout import abandon
from launcher.supervisor.situation import none_ready
from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.state import Child, Service, Slot, State

KILLED_CODE = 128 + Signals.SIGKILL


def exit_code(status: int) -> int:
    """Translate `os.waitstatus_to_exitcode`'s value as shells do: 128+n for death by signal n."""
    return status if status >= 0 else 128 - status


def worker_ended(state: State, child: Child, service: Service, code: int, now: float) -> None:
    starting = child.stage is not Stage.READY
    if child.stage is Stage.READY:
        leaves_ready(state, child, now)
    if child.asked:
        if state.stopping and child.stage in (Stage.ABORTED, Stage.KILLED) and not state.end[0]:
            why = "was killed, as the stop was to be at once" if state.at_once else "did not end in time and was killed"
            state.end = KILLED_CODE, f"{service.name}: worker {child.pid} {why}"
        return
    if state.stopping:
        return
    when = "before it was ready" if starting else "unasked"
    reason = f"{service.name}: worker {child.pid} ended with {code} {when}"
    proven = service.proven
    if starting and proven and proven != service.version and child.generation == service.version.generation:
        abandon(state, service, proven, reason)
    elif starting and proven is None and code == EXIT_CONFIG:
        give_up(state, EXIT_CONFIG, reason, now)
    else:
        failed(state, child.slot, code, reason, now)


def leaves_ready(state: State, child: Child, now: float) -> None:
    service = child.slot.service
    if service is None:
        return
    service.ready -= 1
    if now - child.since >= state.policy.crash_loop_window:
        child.slot.failures = service.failures = 0
        service.crash_looping = False


def failed(state: State, slot: Slot, code: int, reason: str, now: float) -> None:
    """A slot has lost its worker, or could not get one: wait a little longer each time, and give up some day."""
    if (service := slot.service) is None:
        return
    if not service.failures:
        service.failing_since = now
    slot.failures += 1
    service.failures += 1
    slot.not_before = now + backoff(state.policy, slot.failures)
    if service.ready or not is_crash_loop(state.policy, slot, service, now):
        return
    crash_loop = f"crash loop: {service.failures} failures in a row, the last: {reason}"
    if state.policy.exit_on_crash_loop:
        give_up(state, code or EXIT_SOFTWARE, crash_loop, now)
    elif not service.crash_looping:
        service.crash_looping = True
        state.tell("error", f"{crash_loop}; going on")


def give_up(state: State, code: int, reason: str, now: float) -> None:
    if state.stopping:
        return
    state.end = code, reason
    begin_stop(state, now)
    state.terminate_at = now


def begin_stop(state: State, now: float) -> None:
    """End everything gracefully."""
    state.stopping = True
    state.terminate_at = now if none_ready(state) else now + state.policy.drain_delay
    state.mark_all()
