"""Fixtures of the conformance suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.conformance.harness import Keeper, Starter
from tests.functional.conformance.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def keeper() -> Iterator[Keeper]:
    """Hold the namespace of all that are not to be PID 1."""
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def start(tmp_path: Path, keeper: Keeper, pid1: bool | None) -> Iterator[Starter]:
    """Start inits under test; `both_ways` says whether as PID 1."""
    starter = Starter(tmp_path, keeper if pid1 is False else None)
    yield starter
    starter.close()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Sit at a terminal."""
    terminal = Terminal()
    yield terminal
    terminal.hang_up()
