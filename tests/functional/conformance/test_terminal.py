"""At a terminal the command is in the foreground: keys and window sizes reach it, each once."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways, not_pid1
from tests.functional.conformance.harness import INIT, PATIENCE, PAYLOAD
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Running, Starter
    from tests.functional.conformance.terminal import Terminal

KEYS = {
    "ctrl-c": ("\x03", signal.SIGINT),
    "ctrl-backslash": ("\x1c", signal.SIGQUIT),
    "ctrl-z": ("\x1a", signal.SIGTSTP),
}
READ = ("sh", "-c", "echo ready; read line </dev/tty; echo got $line")


def lines_until_probe(init: Running) -> list[str]:
    """Return which signals came, after one more that only we send."""
    init.send(64)
    return init.lines_until("64")


@both_ways
@pytest.mark.parametrize(("key", "signum"), KEYS.values(), ids=KEYS)
def test_key_once(start: Starter, terminal: Terminal, key: str, signum: int) -> None:
    init = start.payload("signals", prepared=terminal.as_stdin)
    for _ in range(5):
        terminal.type(key)
        assert init.line() == str(int(signum))
    assert lines_until_probe(init) == []


@both_ways
def test_window_size_once(start: Starter, terminal: Terminal) -> None:
    init = start.payload("signals", prepared=terminal.as_stdin)
    for rows in (30, 40, 50):
        terminal.resize(rows)
        assert init.line() == str(int(signal.SIGWINCH))
    assert lines_until_probe(init) == []


@both_ways
def test_hang_up(start: Starter, terminal: Terminal) -> None:
    init = start.payload("signals", prepared=terminal.as_stdin)
    terminal.hang_up()
    assert init.line() == str(int(signal.SIGHUP))
    assert set(lines_until_probe(init)) <= {str(int(signal.SIGHUP)), str(int(signal.SIGCONT))}


@both_ways
def test_nothing_at_the_start(start: Starter, terminal: Terminal) -> None:
    # A stray HUP or CONT is what giving up a terminal looks like.
    assert lines_until_probe(start.payload("signals", prepared=terminal.as_stdin)) == []


@both_ways
def test_ctrl_c_ends_the_command(start: Starter, terminal: Terminal) -> None:
    init = start("sh", "-c", "echo ready; exec sleep 600", prepared=terminal.as_stdin)
    assert init.line() == "ready"
    terminal.type("\x03")
    assert init.code() == 128 + signal.SIGINT


@both_ways
def test_command_is_in_the_foreground(start: Starter, terminal: Terminal) -> None:
    init = start.payload("signals", prepared=terminal.as_stdin)
    assert terminal.foreground() == os.getpgid(init.command)


@both_ways
@pytest.mark.parametrize("stdin", ["terminal", "null", "pipe", "closed"])
def test_reads_the_terminal(start: Starter, terminal: Terminal, stdin: str) -> None:
    states = {"terminal": terminal.as_stdin, "closed": [*terminal.controlling, "close=0"]}
    streams = {"null": {"stdin": subprocess.DEVNULL}}
    init = start(*READ, prepared=states.get(stdin, terminal.controlling), **streams.get(stdin, {}))
    assert init.line() == "ready"
    terminal.type("hello\n")
    assert init.line() == "got hello"
    assert init.code() == 0


@both_ways
def test_terminal_of_another_session(start: Starter, terminal: Terminal) -> None:
    init = start("sh", "-c", "read line; echo got $line; exit 7", prepared=[f"redirect=0:{terminal.path}"])
    terminal.type("hello\n")
    assert (init.line(), init.code()) == ("got hello", 7)


def test_stopped_command_goes_on(start: Starter, terminal: Terminal) -> None:
    # Above PID 1 is no shell that could say fg; `docker kill --signal CONT` can.
    init = start("sh", "-c", "echo ready; read line; echo got $line; exit 7", prepared=terminal.as_stdin)
    assert init.line() == "ready"
    command, pid = init.command, init.pid
    terminal.type("\x1a")
    wait_for(lambda: proc.field(command, "State").startswith("T"), "the stop", PATIENCE)
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not proc.field(command, "State").startswith("T"), "the command to go on", PATIENCE)
    terminal.type("hello\n")
    assert (init.line(), init.code()) == ("got hello", 7)


@not_pid1
@pytest.mark.parametrize("command", ["true", "no-such-command"])
def test_script_around_the_init_has_the_terminal_again(start: Starter, terminal: Terminal, command: str) -> None:
    script = '"$@"; read line; echo got $line'
    init = start(command, outer=["sh", "-c", script, "sh"], prepared=terminal.as_stdin)
    terminal.type("hello\n")
    assert init.line() == "got hello"


@not_pid1
def test_started_in_the_background_it_stays_there(start: Starter, terminal: Terminal) -> None:
    script = 'set -m; "$@" & read line; echo got $line; kill -9 %1'
    shell = start(*PAYLOAD, "signals", outer=["bash", "-c", script, "bash"], init=INIT, prepared=terminal.as_stdin)
    assert shell.line() == "ready"
    assert terminal.foreground() == os.getpgid(shell.pid)
    terminal.type("hello\n")
    assert shell.line() == "got hello"
