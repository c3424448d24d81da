"""Fixtures of the functional tests: programs, PID 1 or not, that are gone at the test's end."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.functional.program import Program, reserved_port
from tests.functional.scripts import starter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.functional.scripts import Script


@pytest.fixture
def pid1(request: pytest.FixtureRequest) -> bool | None:
    """Whether the program is PID 1 of a namespace of its own; parametrized by `both_ways`.

    None is the usual: a launcher is, a script is not.
    """
    return getattr(request, "param", None)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """What the workers run on; parametrized by `every_way`, `both_backends` and `on_threads`."""
    return getattr(request, "param", "eventlet")


@pytest.fixture
def make_program(tmp_path: Path, pid1: bool | None, backend: str) -> Iterator[Callable[[], Program]]:
    """Make programs, each with a folder and a port of its own."""
    with ExitStack() as stack:
        programs: list[Program] = []

        def make() -> Program:
            folder = tmp_path / str(len(programs))
            folder.mkdir()
            programs.append(
                Program(folder, stack.enter_context(reserved_port()), pid1=pid1 is not False, backend=backend)
            )
            stack.callback(programs[-1].close)
            return programs[-1]

        yield make
        for program in programs:
            program.show()


@pytest.fixture
def program(make_program: Callable[[], Program]) -> Program:
    """One program."""
    return make_program()


@pytest.fixture
def start(tmp_path: Path, pid1: bool | None, backend: str) -> Iterator[Callable[..., Script]]:
    """Start scripts, which use the launchers themselves."""
    with starter(tmp_path) as start:
        yield partial(start, pid1=bool(pid1), backend=backend)
