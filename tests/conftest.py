"""How many schedules the simulation plays, and which: `make simulate ARGS='--schedules 100000 --seed random'`."""

from __future__ import annotations

from random import SystemRandom
from typing import Any

import pytest

SCHEDULES = 10_000
FIRST_SEED = 1  # fixed, so that everybody plays the same


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--schedules", type=int, default=SCHEDULES, help=f"how many to play, {SCHEDULES} unless told")
    group.addoption("--seed", default=str(FIRST_SEED), help="of the first one, or 'random'; each next one has the next")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]
    elif config.option.seed == "random":
        config.option.seed = str(SystemRandom().randrange(2**32))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell xdist's workers which seed it is: they read the command line again."""
    node.workerinput["seed"] = node.config.option.seed


def pytest_report_header(config: pytest.Config) -> str:
    return f"simulation: {config.option.schedules} schedules, seed {config.option.seed} and up"
