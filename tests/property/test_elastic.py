"""What an elastic service does under any load, and under a steady one."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from launcher.supervisor.elastic import CALM, HIGH, LOW, PERIOD, Demand

bounds = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted)
NOISE = 0.1  # of what is measured; HIGH and LOW are further apart
noises = st.lists(st.sampled_from([1 - NOISE, 1.0, 1 + NOISE]), min_size=1, max_size=9)


class Simulation:
    """A service whose workers share the load evenly, and are there as soon as they are asked for."""

    def __init__(self, least: int, most: int, target: int) -> None:
        self.least, self.most, self.target = least, most, target
        self.demand, self.now = Demand(), 100.0
        self.busy: dict[int, float] = {}

    def period(self, load: float, noise: float = 1.0) -> int:
        """Let a period pass under this load, in workers that are wholly at work; return the new target."""
        self.busy = {pid: self.busy.get(pid, 0.0) for pid in range(self.target)}
        for pid in self.busy:
            self.busy[pid] += min(load / self.target * noise, 1.0) * PERIOD
        self.now += PERIOD
        shares = self.demand.measured(dict(self.busy), self.now)
        self.target = self.demand.decide(self.target, self.least, self.most, shares, self.now)
        return self.target


@given(bounds, st.integers(0, 20), st.lists(st.floats(0, 20), max_size=60))
def test_it_stays_within_its_bounds_and_moves_by_one(between, target, loads):
    simulation = Simulation(*between, target or 1)
    within = False
    for load in loads:
        before, after = simulation.target, simulation.period(load)
        if within:
            assert abs(after - before) <= 1
        within = True
        assert between[0] <= after <= between[1]


@given(bounds, st.floats(0, 3) | st.floats(0, 15), st.integers(1, 12), noises)
def test_a_steady_load_moves_it_in_one_direction_and_then_no_more(between, load, start, noise):
    least, most = between
    simulation = Simulation(least, most, min(max(start, least), most))
    history = [simulation.target]
    periods = 12 * (int(CALM / PERIOD) + 3)
    history += [simulation.period(load, noise[number % len(noise)]) for number in range(periods)]
    assert history in (sorted(history), sorted(history, reverse=True))
    assert len(set(history[-10:])) == 1
    # What it comes to is enough, and not much more than that.
    enough = min(max(ceil(load / HIGH * (1 + NOISE)), least), most)
    assert history[-1] >= min(max(ceil(load / HIGH * (1 - NOISE)), least), most)
    assert history[-1] <= max(enough, ceil(load / LOW * (1 + NOISE)) + 1, least)


@given(st.integers(1, 8), st.floats(0.9, 1))
def test_up_is_quick_and_down_is_slow(least, busy):
    simulation = Simulation(least, least + 1, least)
    periods = 0
    while simulation.target == least:
        simulation.period(busy * least)
        periods += 1
    assert periods <= 2
    up = simulation.now
    while simulation.target > least:
        simulation.period(0)
    assert simulation.now - up >= CALM


@given(bounds, st.integers(1, 12))
def test_who_says_nothing_changes_nothing(between, start):
    least, most = between
    target = min(max(start, least), most)
    demand = Demand()
    for number in range(20):
        shares = demand.measured({}, float(number))
        assert demand.decide(target, least, most, shares, float(number)) == target


def test_it_waits_for_the_effect_of_the_last_step():
    demand = Demand()
    demand.measured({1: 0.0}, 0)
    assert demand.decide(1, 1, 8, demand.measured({1: 1.0}, 1), 1) == 2
    assert demand.decide(2, 1, 8, demand.measured({1: 2.0}, 2), 2) == 2, "the second is not there yet"
    assert demand.decide(2, 1, 8, demand.measured({1: 3.0, 2: 0.0}, 3), 3) == 2, "nothing is known of it yet"
    assert demand.decide(2, 1, 8, demand.measured({1: 4.0, 2: 0.9}, 4), 4) == 3
