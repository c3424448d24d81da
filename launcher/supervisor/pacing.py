"""How fast, and in what order, the slots of a service are filled.

Four rules: a worker that serves is replaced one slot at a time (the turn); forks after failures are
throttled as in oslo.service; each further failure in a row waits longer; and too many are a crash loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.supervisor.state import Stage

if TYPE_CHECKING:
    from launcher.supervisor.settings import Policy
    from launcher.supervisor.state import Service, Slot

THROTTLE_DELAY = 1.0  # seconds; oslo.service's sleep before a throttled fork


def take_turn(slot: Slot, service: Service) -> bool:
    """Return whether the slot may be filled now; else it is queued.  A slot that serves nobody never waits."""
    if not slot.serving():
        service.queue.pop(slot, None)  # or it would be offered a turn that it does not look at
        return True
    if service.turn is None:
        service.turn = slot
        return True
    service.queue[slot] = None
    return False


def yield_turn(slot: Slot, service: Service) -> Slot | None:
    """Give the turn up unless a successor is on its way beside a serving worker; return whom to offer a free turn.

    Whoever does not want it any more offers it to the next when it is looked at.
    """
    coming = any(child.stage is Stage.STARTING for child in slot.heirs(service.version.generation))
    if service.turn is slot and not (coming and slot.serving()):
        service.turn = None
    if service.turn is not None or not service.queue:
        return None
    following = next(iter(service.queue))
    del service.queue[following]
    return following


def throttled(slot: Slot, service: Service, now: float) -> bool:
    """Delay a fork if more than `workers` were made within `workers` seconds (oslo.service: forktimes).

    Only after a failure: a rolling reload is paced by readiness already.
    """
    often = len(service.forktimes) > service.target and now - service.forktimes[0] < service.target
    if not often or not slot.failures or slot.throttled:
        slot.throttled = False
        return False
    service.next_throttled_fork = max(now, service.next_throttled_fork) + THROTTLE_DELAY
    slot.not_before, slot.throttled = service.next_throttled_fork, True
    return True


def count_fork(service: Service, now: float) -> None:
    """Remember when it was, as far back as the throttle looks."""
    service.forktimes.append(now)
    while len(service.forktimes) > service.target + 1:
        service.forktimes.popleft()


def backoff(policy: Policy, failures: int) -> float:
    """Seconds before the restart that follows so many failures in a row: none after the first."""
    if failures <= 1:
        return 0.0
    return float(min(policy.backoff_min * 2.0 ** min(failures - 2, 60), policy.backoff_max))


def is_crash_loop(policy: Policy, slot: Slot, service: Service, now: float) -> bool:
    """Whether a service of which nothing is ready has failed often enough to be given up.

    One slot must have failed again and again, for many workers that die at once may all come back;
    or the service for a while, for the throttle makes the rounds of many workers slow.
    """
    if slot.failures >= policy.crash_loop_threshold:
        return True
    lasting = now - service.failing_since >= policy.crash_loop_window
    return lasting and service.failures >= policy.crash_loop_threshold


def lowered(limit: float, jitter: float, draw: float) -> float:
    """Return a worker's own limit, lower by up to `jitter` of it; `draw` is random from 0 to 1.

    So workers that began together are not replaced together, and none exceeds what was asked for.
    """
    return limit * (1.0 - jitter * draw)
