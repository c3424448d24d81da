"""`launcher healthcheck` and the rest of the command line."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import launcher as package
from tests.functional.cases import SERVICE, both_ways
from tests.functional.program import launcher

if TYPE_CHECKING:
    from tests.functional.program import Program

COMMANDS = ("run", "check", "status", "top", "scale", "reload", "stop", "healthcheck")
SLOW = (
    SERVICE
    + """
class Slow(Service):
    def start(self):
        note("starting")
        wait_for_gate()
    def stop(self):
        wait_for_gate()
"""
)


def healthcheck(program: Program, *arguments: str) -> int:
    return launcher(program, "healthcheck", *arguments).returncode


@both_ways
def test_ready_only_between_start_and_stop(program: Program) -> None:
    program.write_app(SLOW)
    program.configure(services="app:Slow=2", listen=None)
    assert healthcheck(program) == 1, "nothing runs"
    program.start()
    program.wait_for_notes("starting", 2)
    assert healthcheck(program) == 1, "it starts"
    assert healthcheck(program, "--live") == 0
    program.open_gate()
    program.wait_ready()
    assert healthcheck(program) == 0
    assert healthcheck(program, "--ready") == 0
    program.close_gate()
    program.signal(signal.SIGTERM)
    program.wait_for_output("worker .* gets TERM")
    assert healthcheck(program) == 1, "it stops"
    assert healthcheck(program, "--live") == 0
    program.open_gate()
    assert program.wait_ended() == 0
    assert healthcheck(program) == 1
    assert healthcheck(program, "--live") == 1


def test_the_runtime_directory_may_be_said(program: Program) -> None:
    elsewhere = program.folder / "run"
    elsewhere.mkdir()
    program.write_app(SERVICE)
    program.configure(services="app:Service", listen=None, runtime_dir=elsewhere)
    program.start()
    program.wait_for(lambda: healthcheck(program, "--runtime-dir", str(elsewhere)) == 0, "readiness")
    assert healthcheck(program, f"--runtime-dir={elsewhere}") == 0
    assert healthcheck(program) == 1, "only PID 1 is found by itself, and from here it is none"
    assert launcher(program, "healthcheck", OS_LAUNCHER__RUNTIME_DIR=str(elsewhere)).returncode == 0


@pytest.mark.parametrize("arguments", [("--nonsense",), ("ready",), ("--ready", "--live"), ("--runtime-dir",)])
def test_nonsense_is_a_usage_error(program: Program, arguments: tuple[str, ...]) -> None:
    ended = launcher(program, "healthcheck", *arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("launcher: error: healthcheck: cannot make sense of")
    assert len(ended.stderr.splitlines()) == 1


def test_version(program: Program) -> None:
    ended = launcher(program, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"launcher {package.__version__}\n")


def test_alone_it_says_how_it_is_used(program: Program) -> None:
    ended = launcher(program)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: launcher COMMAND")
    assert ended.stdout == ""


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in COMMANDS)])
def test_help(program: Program, arguments: tuple[str, ...]) -> None:
    ended = launcher(program, *arguments)
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: launcher")
    assert ended.stderr == ""
