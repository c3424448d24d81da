"""What the words of a command line and the environment mean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launcher.init import grammar

USR1, INT, TERM, QUIT, STOP = 10, 2, 15, 3, 19


def parse(line: str, dialect: str = "exec", **environ: str) -> grammar.Parse:
    return grammar.parse(line.encode().split(), {k.encode(): v.encode() for k, v in environ.items()}, dialect)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("-- a -b", [b"a", b"-b"]),
        ("a -b -- c", [b"a", b"-b", b"--", b"c"]),
        ("-g -- -a", [b"-a"]),
        ("-gq a", [b"a"]),
        ("-", [b"-"]),
    ],
)
def test_options_end_where_the_command_begins(line, command):
    assert parse(line).command == command


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("a", "grace", 5.0),
        ("--grace 0 a", "grace", 0.0),
        ("--grace=1.5s a", "grace", 1.5),
        ("--rewrite TERM:QUIT --rewrite sigusr1:2 a", "rewrite", {TERM: QUIT, USR1: INT}),
        ("--rewrite TERM:QUIT,INT:0 a", "rewrite", {TERM: QUIT, INT: 0}),
        ("--rewrite RTMIN+1:RTMAX-1 a", "rewrite", {35: 63}),
        ("--ok-exit 143,SIGINT,3 a", "ok_exit", {143, 130, 3}),
        ("--delay TERM:5s a", "delay", {TERM: 5.0}),
        ("--pdeathsig KILL a", "pdeathsig", 9),
        ("--warn a", "warn_reap", True),
        ("-v a", "verbose", True),
    ],
)
def test_an_option_is_taken_up(line, name, value):
    assert getattr(parse(line).options, name) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "no command given"),
        ("--", "no command given"),
        ("--nonsense a", "no option --nonsense"),
        ("-x a", "no option -x"),
        ("--grace", "--grace needs a value"),
        ("--grace x a", "'x' is no number of seconds"),
        ("--grace -1 a", "not between"),
        ("--grace nan a", "not between"),
        ("--group=1 a", "--group takes no value"),
        ("--rewrite TERM a", "not of the form FROM:TO"),
        ("--rewrite NOPE:TERM a", "'NOPE' is no signal"),
        ("--ok-exit \u0663 a", "'\u0663' is no signal"),
        ("--rewrite KILL:TERM a", "KILL is never forwarded"),
        ("--rewrite CHLD:TERM a", "CHLD is never forwarded"),
        ("--ok-exit 256 a", "no exit code"),
        ("--ok-exit 1,,2 a", "empty part"),
        ("--delay TERM:x a", "no number"),
    ],
)
def test_nonsense_is_an_error(line, message):
    with pytest.raises(grammar.UsageError, match=message):
        parse(line)


def test_the_environment_is_read_and_the_command_line_wins():
    options = parse("--grace 1 a", LAUNCHER_EXEC_GRACE="2", LAUNCHER_EXEC_GROUP="yes", LAUNCHER_EXEC_QUIET="0").options
    assert (options.grace, options.group, options.quiet) == (1.0, True, False)


@pytest.mark.parametrize("variable", [{"LAUNCHER_EXEC_GRCE": "1"}, {"LAUNCHER_EXEC_GROUP": "maybe"}])
def test_a_variable_that_makes_no_sense_is_an_error(variable):
    with pytest.raises(grammar.UsageError, match=next(iter(variable))):
        parse("a", **variable)


def test_help_is_told_and_nothing_is_run():
    assert "--rewrite" in parse("--help a").text


@pytest.mark.parametrize(
    ("line", "command"),
    [("-- a -b", [b"a", b"-b"]), ("a -- -b", [b"a", b"-b"]), ("-g -vvv a b", [b"a", b"b"]), ("-s a", [b"a"])],
)
def test_tini_drops_the_first_dashes(line, command):
    assert parse(line, "tini").command == command


def test_tini_has_its_options_and_variables():
    options = parse("-e 143 -w -p SIGKILL a", "tini", TINI_KILL_PROCESS_GROUP="1").options
    assert (options.ok_exit, options.warn_reap, options.pdeathsig, options.group) == ({143}, True, 9, True)


def test_dumb_init_signals_the_group_and_rewrites_stops():
    options = parse("-r 15:3 --rewrite=2:0 a", "dumb-init").options
    assert options.group
    assert options.rewrite == {15: 3, 2: 0, 20: STOP, 21: STOP, 22: STOP}


@pytest.mark.parametrize(("line", "environ"), [("-c a", {}), ("a", {"DUMB_INIT_SETSID": "0"})])
def test_dumb_init_can_leave_the_group_alone(line, environ):
    options = parse(line, "dumb-init", **environ).options
    assert (options.group, options.rewrite) == (False, {})


def test_help_that_cannot_be_written_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "launcher", "exec", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 125
    assert done.stderr == "launcher: error: exec: cannot write to stdout: no space left on device\n"
