"""What an event costs does not grow with the number of workers: steps are counted, not seconds."""

from __future__ import annotations

import tracemalloc
from signal import Signals

import pytest

from launcher.supervisor.core import Core
from launcher.supervisor.settings import Policy, ServiceSpec
from launcher.supervisor.state import Kill, Prepare, Spawn
from tests.steps import steps

FEW, MANY = 50, 1000
MEMORY = 2000  # bytes a worker


class Fleet:
    """A core whose workers start, serve and end as they are told."""

    def __init__(self, services: int, workers: int) -> None:
        self.core = Core(Policy(backoff_min=0.0, backoff_max=0.0))
        self.specs = [ServiceSpec(f"service-{number}", workers) for number in range(services)]
        self.now, self.pid = 0.0, 1
        self.act()

    def act(self) -> None:
        """Do all that is asked for; everybody obeys at once."""
        while (action := self.core.next_action(self.now)) is not None:
            match action:
                case Prepare(generation):
                    self.pid += 1
                    self.core.prepare_started(generation, self.pid, self.now)
                    self.core.prepared(generation, self.specs, self.core.state.policy, self.now)
                case Spawn():
                    self.pid += 1
                    self.core.spawned(action.serial, self.pid, self.now)
                    self.core.ready(self.pid, self.now)
                case Kill(pid, signum):
                    self.core.exited(pid, 0 if signum is Signals.SIGTERM else -signum, self.now)

    def worker(self) -> int:
        """Return a worker of the middle."""
        pids = [pid for pid, child in self.core.children.items() if child.slot.service]
        return pids[len(pids) // 2]

    def dies(self) -> None:
        self.core.exited(self.worker(), 1, self.now)

    def hangs(self) -> None:
        self.core.hung(self.worker(), "why", self.now)

    def is_retired(self) -> None:
        self.core.retire(self.worker(), "why", self.now)

    def grows(self) -> None:
        self.core.scale("service-0", self.core.services["service-0"].target + 1)

    def shrinks(self) -> None:
        self.core.scale("service-0", self.core.services["service-0"].target - 1)

    def loses_its_mold(self) -> None:
        mold = next(pid for pid, child in self.core.children.items() if child.slot.service is None)
        self.core.exited(mold, -9, self.now)

    def is_refused_a_reload(self) -> None:
        generation = self.core.reload()
        self.core.prepare_failed(generation, 78, "why", self.now)

    def is_reloaded(self) -> None:
        self.core.reload()


def one_service(count: int) -> tuple[int, int]:
    return 1, count


def services_of_one(count: int) -> tuple[int, int]:
    return count, 1


EVENTS = [Fleet.dies, Fleet.hangs, Fleet.is_retired, Fleet.grows, Fleet.shrinks, Fleet.is_refused_a_reload]
CASES = [(event, shape) for event in EVENTS for shape in (one_service, services_of_one)]
CASES.append((Fleet.loses_its_mold, one_service))  # the next mold tells of each service once more


def cost(fleet: Fleet, event) -> int:
    found = fleet.worker()  # outside of what is counted
    fleet.worker = lambda: found
    return steps(lambda: (event(fleet), fleet.act()))


@pytest.mark.parametrize(("event", "shape"), CASES, ids=lambda each: each.__name__)
def test_an_event_costs_as_much_with_many_workers_as_with_few(event, shape):
    few, many = (cost(Fleet(*shape(count)), event) for count in (FEW, MANY))
    assert 0 < many < 1.5 * few + 10


@pytest.mark.parametrize("shape", [one_service, services_of_one], ids=lambda each: each.__name__)
def test_start_reload_and_stop_cost_in_proportion_to_the_workers(shape):
    def whole(count: int) -> None:
        fleet = Fleet(*shape(count))
        fleet.is_reloaded()
        fleet.act()
        fleet.core.stop(fleet.now)
        fleet.act()

    few, many = (steps(lambda count=count: whole(count)) for count in (FEW, MANY))
    assert many < 1.5 * few * MANY / FEW


def test_a_worker_takes_little_memory():
    tracemalloc.start()
    try:
        fleet = Fleet(1, MANY)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(fleet.core.children) == MANY + 1
    assert used < MEMORY * MANY
