"""When the workers' busyness is measured, and when nothing is."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace

import pytest

from launcher.supervisor.elastic import PERIOD
from launcher.supervisor.elasticity import Elasticity
from launcher.supervisor.settings import ServiceSpec, Settings
from launcher.supervisor.timers import Timers

STEADY = Settings((ServiceSpec("web", 2),))
ELASTIC = Settings((ServiceSpec("web", 2, 8), ServiceSpec("other", 1)))


@pytest.fixture
def world():
    """No service yet, no generation, a clock that stands still."""
    world = SimpleNamespace(core=SimpleNamespace(services={}, stopping=False), timers=Timers(lambda: 0.0))
    world.generations = SimpleNamespace(settings={})
    world.elasticity = Elasticity(world.core, world.generations, world.timers, None, None)
    return world


def test_where_no_service_is_elastic_nothing_is_due(world):
    world.elasticity.in_force(STEADY)
    assert world.timers.deadline() == inf


def test_it_is_measured_as_long_as_an_elastic_service_may_come_back(world):
    world.generations.settings = {1: ELASTIC}
    world.elasticity.in_force(ELASTIC)
    world.generations.settings[2] = STEADY
    world.elasticity.in_force(STEADY)
    assert world.timers.deadline() == PERIOD
    world.timers.expire(PERIOD)
    assert world.timers.deadline() == PERIOD, "generation 2 may fail"
    del world.generations.settings[1]
    world.timers.expire(PERIOD)
    assert world.timers.deadline() == inf


def test_it_is_measured_once_a_period_however_many_reloads_there_are(world):
    world.generations.settings = {1: ELASTIC, 2: ELASTIC}
    world.elasticity.in_force(ELASTIC)
    world.elasticity.in_force(ELASTIC)
    world.generations.settings = {}
    world.timers.expire(PERIOD)
    assert world.timers.deadline() == inf
