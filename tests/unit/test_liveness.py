"""Who hangs, judged on a clock and on counters that the test moves.  The timeout is 10 s."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import pytest

from launcher.supervisor.liveness import Judge, Sight
from launcher.supervisor.scoreboard import Beat

TIMEOUT = 10.0


@dataclass
class Worker:
    """What the kernel and the scoreboard say of a worker."""

    pid: int
    ready_since: float
    busy_since: float | None = None
    stopped_since: float | None = None
    starved: float = 0.0
    beats: bool = True
    shares: bool = False

    def sight(self) -> Sight:
        at_work = self.busy_since is not None
        beat = Beat(at_work, self.busy_since if at_work else self.ready_since, 0.0, 0, 0, self.shares)
        return Sight(self.pid, self.ready_since, beat if self.beats else None, self.stopped_since, self.starved)


@dataclass
class World:
    """Some workers, and a judge who looks at them when one is due, or as late as the test says."""

    now: float = 1000.0
    throttled: float = 0.0
    late: float = 0.0
    workers: list[Worker] = field(default_factory=list)
    looks: int = 0
    judge: Judge = field(default_factory=lambda: Judge(TIMEOUT))

    def worker(self, **state: float) -> Worker:
        self.workers.append(Worker(len(self.workers) + 1, self.now, **state))
        self.judge.meet(self.workers[-1].sight(), self.throttled, self.now)
        return self.workers[-1]

    def run(self, seconds: float, *, starve: float = 0.0, throttle: float = 0.0) -> dict[int, tuple[float, str]]:
        """Go on for a while; return who was found to hang, when, counted from here, and why.

        `starve` is the share of it in which no busy worker gets CPU, `throttle` that of the cgroup.
        """
        start, end, found = self.now, self.now + seconds, {}
        while self.now < end:
            look = self.judge.due + self.late
            self._move(min(look, end), starve, throttle)
            if look <= end:
                self.looks += 1
                for hung in self.judge.look([each.sight() for each in self.workers], self.throttled, self.now):
                    found[hung.pid] = self.now - start, hung.why
                self.workers = [each for each in self.workers if each.pid not in found]
        return found

    def _move(self, until: float, starve: float, throttle: float) -> None:
        for each in self.workers:
            if each.busy_since is not None and each.stopped_since is None:
                each.starved += starve * (until - self.now)
        self.throttled += throttle * (until - self.now)
        self.now = until


@pytest.fixture
def world():
    return World()


def block(world: World, worker: Worker) -> None:
    worker.busy_since = world.now


def test_who_is_busy_for_too_long_hangs_and_nobody_else(world):
    idle, blocked = world.worker(), world.worker()
    world.run(3)
    block(world, blocked)
    when, why = world.run(60)[blocked.pid]
    assert when == pytest.approx(TIMEOUT)
    assert why == "busy for 10.0 s; liveness_timeout is 10 s"
    assert world.workers == [idle]


def test_who_waits_for_work_never_hangs_and_is_looked_at_seldom(world):
    world.worker()
    assert world.run(100 * TIMEOUT) == {}
    assert world.looks <= 101


def test_who_begins_turn_after_turn_does_not_hang(world):
    worker = world.worker()
    for _ in range(50):
        block(world, worker)
        assert world.run(0.9 * TIMEOUT) == {}


def test_a_start_does_not_count(world):
    world.worker()
    world.run(0.9 * TIMEOUT)
    # Its service has just been started, in one long turn, and had to wait for CPU.
    worker = world.worker(busy_since=world.now - 100, starved=50.0)
    assert world.run(60)[worker.pid][0] == pytest.approx(TIMEOUT)


def test_who_says_nothing_does_not_hang(world):
    world.worker(beats=False)
    assert world.run(100) == {}


def test_who_goes_on_with_other_work_meanwhile_does_not_hang_until_it_is_stopped(world):
    worker = world.worker(shares=True, busy_since=world.now)
    assert world.run(100) == {}
    worker.stopped_since = world.now
    assert world.run(60)[worker.pid] == (pytest.approx(TIMEOUT), "stopped for 10.0 s; liveness_timeout is 10 s")


def test_who_is_stopped_hangs_busy_or_not(world):
    asleep, busy, mute = world.worker(), world.worker(busy_since=world.now), world.worker(beats=False)
    world.run(3)
    for each in (asleep, busy, mute):
        each.stopped_since = world.now
    found = world.run(60, starve=0.5, throttle=0.5)
    assert {round(when) for when, _ in found.values()} == {10}
    assert found[asleep.pid][1] == "stopped for 10.0 s; liveness_timeout is 10 s"
    assert found.keys() == {asleep.pid, busy.pid, mute.pid}


def test_who_was_stopped_and_goes_on_does_not_hang(world):
    worker = world.worker()
    worker.stopped_since = world.now
    world.run(9)
    worker.stopped_since = None
    assert world.run(100) == {}


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_time_without_cpu_does_not_count(world, share):
    worker = world.worker()
    block(world, worker)
    when, why = world.run(1000, starve=share)[worker.pid]
    assert when == pytest.approx(TIMEOUT / (1 - share), rel=0.1)
    assert f"s of them without CPU; {why.partition('; ')[2]}" in why


def test_the_share_in_which_the_cgroup_was_throttled_does_not_count_either(world):
    worker = world.worker()
    block(world, worker)
    assert world.run(1000, throttle=0.5)[worker.pid][0] == pytest.approx(2 * TIMEOUT, rel=0.1)


def test_the_same_second_is_not_given_twice(world):
    worker = world.worker()
    block(world, worker)
    assert world.run(1000, starve=0.5, throttle=0.5)[worker.pid][0] == pytest.approx(2 * TIMEOUT, rel=0.1)


def test_what_was_waited_for_in_earlier_turns_is_soon_forgotten(world):
    worker = world.worker(busy_since=world.now, starved=1000.0)
    world.run(5)
    worker.starved, worker.busy_since = 2000.0, None
    world.run(2 * TIMEOUT)
    block(world, worker)
    assert world.run(60)[worker.pid][0] == pytest.approx(TIMEOUT)


def test_what_an_earlier_turn_was_given_is_not_the_next_ones(world):
    worker = world.worker()
    block(world, worker)
    assert world.run(2.5 * TIMEOUT, starve=0.8) == {}
    block(world, worker)
    assert world.run(60)[worker.pid][0] <= 1.5 * TIMEOUT


def test_what_cannot_be_told_apart_is_given(world):
    """It may have starved since the last look, before this turn or in it."""
    worker = world.worker()
    world.run(1)
    worker.starved += 4
    block(world, worker)
    assert world.run(60)[worker.pid][0] == pytest.approx(TIMEOUT + 4)


def test_no_more_is_given_than_the_turn_has_lasted(world):
    worker = world.worker()
    world.run(0.9 * TIMEOUT)
    worker.starved += 8
    block(world, worker)
    assert world.run(60)[worker.pid][0] == pytest.approx(1.1 * TIMEOUT)


def test_counters_that_cannot_be_true_give_no_more_than_the_time(world):
    worker = world.worker()
    block(world, worker)
    world.run(1)
    for _ in range(20):
        worker.starved += 1e9
        assert world.run(1) == {}
    assert worker.pid in world.run(2 * TIMEOUT + 1)


def test_when_we_are_late_ourselves_everybody_has_another_period_once(world):
    worker = world.worker()
    block(world, worker)
    world.late = 300.0
    world.run(TIMEOUT + 301)
    assert world.workers == [worker]
    world.late = 0.0
    assert world.run(60)[worker.pid][0] == pytest.approx(TIMEOUT - 1)


def test_who_hangs_is_found_even_if_we_are_always_late(world):
    worker = world.worker()
    block(world, worker)
    world.late = TIMEOUT / 2
    assert worker.pid in world.run(10 * TIMEOUT)


def test_many_that_are_due_one_after_the_other_share_looks(world):
    for _ in range(500):
        block(world, world.worker())
        world.run(0.01)
    looks = world.looks
    assert len(world.run(2 * TIMEOUT)) == 500
    assert world.looks - looks <= 25


def test_with_nobody_to_look_at_nothing_is_due(world):
    assert world.judge.due == inf
    block(world, world.worker())
    world.run(2 * TIMEOUT)
    world.run(1)
    assert world.judge.due == inf


def test_to_meet_somebody_again_changes_nothing(world):
    worker = world.worker()
    block(world, worker)
    world.run(1)
    worker.starved += 4
    world.judge.meet(worker.sight(), world.throttled, world.now)
    assert world.run(60)[worker.pid][0] == pytest.approx(TIMEOUT + 3)
