"""The init ends as its command did."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

IGNORED_BY_DEFAULT = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
FATAL = sorted({signum for signum in signal.valid_signals() if signum < 32} - IGNORED_BY_DEFAULT - STOPPING)


@both_ways
@pytest.mark.parametrize("code", [0, 1, 2, 7, 125, 126, 127, 128, 143, 255], ids="code-{}".format)
def test_code(start: Starter, code: int) -> None:
    assert start("sh", "-c", f"exit {code}").code() == code


@both_ways
@pytest.mark.parametrize("signum", [*FATAL, 34, 50, 64], ids="signal-{:d}".format)
def test_death_by_signal(start: Starter, signum: int) -> None:
    assert start("sh", "-c", f"kill -{signum:d} $$", prepared=["limit=CORE:0:0"]).code() == 128 + signum


@both_ways
def test_core_dump_changes_nothing(start: Starter) -> None:
    unlimited = "limit=CORE:-1:-1"
    assert start("sh", "-c", "kill -ABRT $$", prepared=[unlimited]).code() == 128 + signal.SIGABRT


@both_ways
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_code_of_a_command_that_handles_a_signal(start: Starter, signum: int) -> None:
    script = f"trap 'exit 3' {signum:d}; echo ready; while :; do read line; done"
    init = start("sh", "-c", script)
    assert init.line() == "ready"
    init.send(signum)
    assert init.code() == 3


@both_ways
def test_silent_when_all_is_well(start: Starter) -> None:
    init = start("true")
    assert init.code() == 0
    assert (init.rest(), init.errors()) == (b"", "")
