"""`launcher top`: at a terminal, which gets back what it was."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import SERVICE
from tests.functional.program import LAUNCHER, launcher
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.program import Program

STYLE = "\x1b\\[[0-9;]*m"
ALTERNATE_SCREEN, ITS_END = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A terminal of 30 lines with `launcher top` at it."""

    def __init__(self, program: Program) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(self.ours, (30, 120))
        self.before = termios.tcgetattr(self.ours)
        os.set_blocking(self.ours, False)
        self._shown = ""
        self.top = subprocess.Popen(
            ["setsid", "--ctty", *LAUNCHER, "top"],
            env=program.environment(TERM="xterm"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def shown(self) -> str:
        """Return all that was written to the terminal."""
        with suppress(OSError):  # nothing is there; or its other end is closed
            while data := os.read(self.ours, 65536):
                self._shown += data.decode(errors="replace")
        return self._shown

    def wait_for(self, pattern: str) -> None:
        """Wait for text, whatever its style."""
        wait_for(lambda: re.search(pattern, re.sub(STYLE, "", self.shown())), f"{pattern} on the terminal")

    def wait_ended(self) -> int:
        """Return the exit code, and check that the terminal is as it was."""
        wait_for(lambda: self.shown() and self.top.poll() is not None, "the end of top")
        assert termios.tcgetattr(self.ours) == self.before
        assert self.shown().count(ITS_END) == self.shown().count(ALTERNATE_SCREEN) == 1
        return self.top.returncode

    def close(self) -> None:
        if self.top.poll() is None:
            self.top.kill()
            self.top.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(program: Program) -> Iterator[Terminal]:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    terminal = Terminal(program)
    terminal.wait_for("(?s)SERVICE.*SERVICE")
    yield terminal
    terminal.close()


def test_it_shows_what_changes_until_q(program: Program, terminal: Terminal) -> None:
    terminal.wait_for("generation 1: ready")
    for pid in program.workers():
        terminal.wait_for(rf"Service +[01] +{pid} +1 +ready")
    assert program.ask("scale", service="Service", workers=3)["ok"]
    third = program.wait_ready(3)[2]
    terminal.wait_for(rf"Service +2 +{third} +1 +ready")
    os.write(terminal.ours, b"xq")
    assert terminal.wait_ended() == 0


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it(terminal: Terminal, signum: int, code: int) -> None:
    terminal.top.send_signal(signum)
    assert terminal.wait_ended() == code


def test_ctrl_c_ends_it(terminal: Terminal) -> None:
    os.write(terminal.ours, b"\x03")
    assert terminal.wait_ended() == 0


def test_it_ends_with_its_supervisor(program: Program, terminal: Terminal) -> None:
    assert program.stop() == 0
    assert terminal.wait_ended() == 1
    assert terminal.shown().split(ITS_END)[1].strip().startswith("launcher: error: top: ")


def test_without_a_terminal_it_says_what_to_use(program: Program) -> None:
    program.serve(SERVICE, services="app:Service", listen=None)
    for term in ("xterm", "dumb"):
        ended = launcher(program, "top", TERM=term)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr == "launcher: error: top: needs a terminal; use `launcher status`\n"
