"""The core against a simulated kernel: thousands of schedules, each made from one integer.

A failure prints its seed and all that happened; `make simulate ARGS='--schedules 1 --seed N'` plays it again.
"""

from __future__ import annotations

from collections import Counter

import pytest

from launcher.supervisor.state import Kill
from tests.property.simulation.rules import Rules
from tests.property.simulation.schedule import Schedule
from tests.property.simulation.world import World

PORTION = 500  # schedules a test case: xdist spreads them


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        first, count = int(metafunc.config.option.seed), metafunc.config.option.schedules
        portions = [range(first + i, first + min(i + PORTION, count)) for i in range(0, count, PORTION)]
        metafunc.parametrize("seeds", portions, ids=lambda seeds: f"{seeds.start}..{seeds.stop - 1}")


def play(seed: int) -> None:
    world = World(Schedule(seed))
    try:
        world.run()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error or type(error).__name__}\n{world.story()}") from error


def test_the_core_keeps_to_its_rules(seeds):
    for seed in seeds:
        play(seed)


def test_a_seed_is_the_whole_schedule():
    for seed in range(20):
        first, second = World(Schedule(seed)), World(Schedule(seed))
        first.run()
        second.run()
        assert first.story() == second.story()


def test_a_failure_says_its_seed_and_what_happened(monkeypatch):
    monkeypatch.setattr(Rules, "check_finish", lambda rules, finish: rules.expect(False, "that was to be shown"))
    with pytest.raises(AssertionError, match=r"seed 5: that was to be shown\n +0.00 .*Prepare") as failed:
        play(5)
    assert "-> Finish(code=" in str(failed.value).splitlines()[-1]


def test_schedules_are_rich():
    """What is never met is not tested: every word, order and signal occurs, and every way to end."""
    met = Counter()
    for seed in range(1000):
        world = World(Schedule(seed))
        world.run()
        for _, what, *about in world.trace:
            met[about[0] if what == "!" else what.strip()] += 1
            if about and isinstance(about[0], Kill):
                met[about[0].signum.name] += 1
        met[f"code {world.finish.code}"] += 1
    expected = (
        "loaded loading refused born ready ended reload scale more less oom full strangers stall stop at_once calm"
    )
    for what in [*expected.split(), "fork failed", "SIGTERM", "SIGABRT", "SIGKILL", "code 0", "code 78", "code 137"]:
        assert met[what] >= 10, f"{what}: {met}"
