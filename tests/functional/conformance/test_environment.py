"""The command's environment is the init's, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways
from tests.functional.conformance.harness import Pairs

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

PATH = (b"PATH", b"/usr/local/bin:/usr/bin:/bin")
ENVIRONMENTS = {
    "empty": [],
    "no-locale": [PATH, (b"HOME", b"/")],
    "locale-c": [PATH, (b"LANG", b"C")],
    "locale-posix": [PATH, (b"LC_ALL", b"POSIX")],
    "locale-unknown": [PATH, (b"LC_ALL", b"xx_YY.nonsense")],
    "locale-given": [PATH, (b"LC_CTYPE", b"C.UTF-8")],
    "not-utf-8": [PATH, (b"BYTES", bytes(range(1, 256))), (b"\xff", b"caf\xe9")],
    "newlines": [PATH, (b"TEXT", b"a\nb\n"), (b"EMPTY", b"")],
    "equals-signs": [PATH, (b"A", b"=b=c=")],
    "duplicates": [PATH, (b"TWICE", b"1"), (b"OTHER", b"x"), (b"TWICE", b"2")],
    "order": [PATH, *((b"%c" % letter, b"x") for letter in b"zyxabc")],
    "odd-names": [PATH, (b"a.b", b"1"), (b"BASH_FUNC_f%%", b"() { :; }"), (b"_", b"/x")],
    "megabyte": [PATH, *((b"V%d" % number, b"x" * 100_000) for number in range(10))],
    "thousands": [PATH, *((b"V%d" % number, b"") for number in range(5_000))],
    "python-home": [PATH, (b"PYTHONHOME", b"/no/such/folder")],
    "python-inspect": [PATH, (b"PYTHONINSPECT", b"1")],
    "python-verbose": [PATH, (b"PYTHONVERBOSE", b"1"), (b"PYTHONPROFILEIMPORTTIME", b"1")],
    "python-dev-mode": [PATH, (b"PYTHONDEVMODE", b"1"), (b"PYTHONWARNINGS", b"error")],
    "python-locale": [PATH, (b"PYTHONCOERCECLOCALE", b"warn"), (b"PYTHONUTF8", b"0")],
}


@both_ways
@pytest.mark.parametrize("pairs", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_as_given(start: Starter, pairs: list[tuple[bytes, bytes]]) -> None:
    init = start("/bin/cat", "/proc/self/environ", env=Pairs(pairs))
    assert init.rest() == b"".join(b"%s=%s\0" % pair for pair in pairs)
    assert (init.code(), init.errors()) == (0, "")


def test_entry_that_is_no_variable(start: Starter) -> None:
    init = start("/bin/cat", "/proc/self/environ", env=Pairs([PATH]), prepared=["entry=nonsense", "entry=A=b"])
    assert init.rest() == b"PATH=" + PATH[1] + b"\0nonsense\0A=b\0"


@both_ways
def test_python_modules_of_the_application_are_not_the_inits(start: Starter) -> None:
    for name in ("signal", "os", "types", "enum", "launcher", "sitecustomize", "usercustomize"):
        (start.folder / f"{name}.py").write_text("raise SystemExit(99)")
    init = start("sh", "-c", "exit 7", environment={"PYTHONPATH": str(start.folder), "PYTHONSAFEPATH": ""})
    assert (init.code(), init.errors()) == (7, "")


@both_ways
def test_listen_pid_that_names_the_init_names_the_command(start: Starter) -> None:
    variables = {"LISTEN_FDS": "1"}
    init = start("sh", "-c", "echo $LISTEN_PID $$", prepared=["listen-pid="], environment=variables)
    listen_pid, command = init.line().split()
    assert listen_pid == command


def test_listen_pid_that_names_another_is_kept(start: Starter) -> None:
    init = start("sh", "-c", "echo $LISTEN_PID", environment={"LISTEN_PID": "4711"})
    assert init.line() == "4711"
