"""Job control: of a shell that runs the init, and of a shell that the init runs."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways, not_pid1
from tests.functional.conformance.harness import INIT, PATIENCE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter
    from tests.functional.conformance.terminal import Terminal

SHELLS = {"bash": ("bash", "--norc", "--noprofile", "--noediting", "-i"), "sh": ("sh", "-i")}
with_shells = pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
GREETER = ("sh", "-c", "echo begun; read line; echo got-$line; exit 7")


class AtShell:
    """Somebody at a terminal whose shell has started."""

    def __init__(self, start: Starter, terminal: Terminal, shell: tuple[str, ...], init: tuple[str, ...]) -> None:
        self.terminal, self.expect = terminal, terminal.expect
        self.running = start(*shell, init=init, prepared=terminal.as_all, environment={"TERM": "dumb", "ENV": ""})
        self.enter("echo here-$((1 + 1))")
        self.expect("here-2")
        self.group = terminal.foreground()

    def enter(self, line: str) -> None:
        """Type a line."""
        self.terminal.type(f"{line}\n")

    def run_init(self, *command: str, background: bool = False) -> None:
        """Have the shell run a command under the init."""
        self.enter(shlex.join([*INIT, *command]) + (" &" if background else ""))

    def _stopped(self) -> list[int]:
        jobs = proc.descendants(self.running.pid)
        return [pid for pid in jobs if proc.field(pid, "State").startswith("T")]

    def stop_job(self) -> None:
        """Press Ctrl-Z, and see the prompt again."""
        self.terminal.type("\x1a")
        self.expect("Stopped")
        assert self.terminal.foreground() == self.group

    def foreground(self) -> None:
        """Let the job go on in the foreground."""
        self.enter("fg")
        self.terminal.wait_for_foreground(other_than=self.group)
        # A Ctrl-Z before that would be lost: SIGCONT discards every stop signal that waits.
        wait_for(lambda: not self._stopped(), "the job to go on", PATIENCE)

    def expect_status(self, status: int) -> None:
        """See that the last command had this exit status."""
        self.enter("echo status-$?")
        self.expect(f"status-{status}\r")


@pytest.fixture
def above(start: Starter, terminal: Terminal, shell: tuple[str, ...]) -> AtShell:
    """Sit at a shell that can run the init."""
    return AtShell(start, terminal, shell, ())


@pytest.fixture
def below(start: Starter, terminal: Terminal, shell: tuple[str, ...]) -> AtShell:
    """Sit at a shell that the init runs."""
    return AtShell(start, terminal, shell, INIT)


@not_pid1
@with_shells
@pytest.mark.parametrize("times", [1, 3], ids="times-{}".format)
def test_stop_and_go_on(above: AtShell, times: int) -> None:
    above.run_init(*GREETER)
    above.expect("begun")
    for _ in range(times):
        above.stop_job()
        above.foreground()
    above.enter("hello")
    above.expect("got-hello")
    above.expect_status(7)


@not_pid1
@with_shells
def test_stop_and_go_on_in_the_background(above: AtShell, start: Starter) -> None:
    fifo = start.folder / "fifo"
    os.mkfifo(fifo)
    with os.fdopen(os.open(fifo, os.O_RDWR), "wb", buffering=0) as writer:
        above.run_init("sh", "-c", 'echo begun; read line <"$0"; echo got-$line', str(fifo))
        above.expect("begun")
        above.stop_job()
        above.enter("bg")
        writer.write(b"hello\n")
        above.expect("got-hello")
        assert above.terminal.foreground() == above.group
        above.enter("echo alive-$((1 + 1))")
        above.expect("alive-2")


@not_pid1
@with_shells
@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x1c", 131)], ids=["ctrl-c", "ctrl-backslash"])
def test_key_ends_the_job(above: AtShell, key: str, status: int) -> None:
    above.run_init("sh", "-c", "ulimit -c 0; echo begun; exec sleep 600")
    above.expect("begun")
    above.terminal.type(key)
    above.expect_status(status)


@not_pid1
@with_shells
def test_ctrl_c_after_going_on(above: AtShell) -> None:
    above.run_init("sh", "-c", "echo begun; exec sleep 600")
    above.expect("begun")
    above.stop_job()
    above.foreground()
    above.terminal.type("\x03")
    above.expect_status(130)


@not_pid1
@with_shells
def test_background_job_that_reads_waits_for_the_foreground(above: AtShell) -> None:
    above.run_init(*GREETER, background=True)
    above.expect("begun")
    [init] = proc.children(above.running.pid)
    wait_for(lambda: proc.field(init, "State").startswith("T"), "the job's stop", PATIENCE)
    above.foreground()
    above.enter("hello")
    above.expect("got-hello")
    above.expect_status(7)


@not_pid1
@with_shells
def test_pipeline(above: AtShell) -> None:
    above.enter(f"echo hello | {shlex.join([*INIT, 'cat'])} | tr a-z A-Z")
    above.expect("HELLO")
    above.expect_status(0)


@both_ways
@with_shells
def test_shell_below(below: AtShell) -> None:
    below.enter("sh -c 'echo begun; exec sleep 600'")
    below.expect("begun")  # before that, the shell's child still ignores the keys
    below.stop_job()
    below.foreground()
    below.terminal.type("\x03")
    below.expect_status(130)
    below.enter("exit 7")
    assert below.running.code() == 7


@both_ways
@with_shells
def test_shell_below_says_nothing_of_job_control(below: AtShell) -> None:
    # "can't access tty; job control turned off" comes first of all.
    below.enter("set -o | grep -c 'monitor.*on'")
    below.expect("1\r")
