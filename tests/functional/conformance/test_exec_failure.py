"""A command that cannot be executed: 127 where there is none, 126 for every other reason; and it is told which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways
from tests.functional.conformance.harness import INIT, IS_LAUNCHER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.functional.conformance.harness import Starter


def file_of(content: bytes, mode: int = 0o755) -> Callable[[Path], str]:
    """Return a function that makes a file, and its path."""

    def make(folder: Path) -> str:
        path = folder / "command-x"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return make


def link_to_itself(folder: Path) -> str:
    (folder / "command-x").symlink_to("command-x")
    return str(folder / "command-x")


NOT_FOUND = {
    "name": lambda _: "no-such-command-x",
    "path": lambda folder: str(folder / "command-x"),
    "folder": lambda _: "/no/such/folder/command-x",
    "empty-name": lambda _: "",
}
NOT_EXECUTABLE = {
    "mode": file_of(b"#!/bin/sh\n", 0o644),
    "directory": str,
    "below-a-file": lambda _: "/etc/passwd/command-x",
    "name-too-long": lambda _: "/" + "command-x" * 60,
    "link-to-itself": link_to_itself,
    "broken-binary": file_of(b"\x7fELF\x02\x01\x01" + bytes(200)),
    "empty-file": file_of(b""),
    "interpreter-is-a-directory": file_of(b"#!/usr\n"),
}


@both_ways
@pytest.mark.parametrize("make", NOT_FOUND.values(), ids=NOT_FOUND)
def test_not_found(start: Starter, make: Callable[[Path], str]) -> None:
    assert start(make(start.folder)).code() == 127


@both_ways
@pytest.mark.parametrize("make", NOT_EXECUTABLE.values(), ids=NOT_EXECUTABLE)
def test_not_executable(start: Starter, make: Callable[[Path], str]) -> None:
    assert start(make(start.folder)).code() == 126


@both_ways
def test_missing_interpreter(start: Starter) -> None:
    # ENOENT about a file that is there: env(1) says 127 to that, bash 126.
    command = file_of(b"#!/no/such/interpreter\n")(start.folder)
    init = start(command)
    assert init.code() in {126, 127}
    if IS_LAUNCHER:
        assert "it is there, but not the interpreter" in init.errors()


@pytest.mark.parametrize("make", [NOT_FOUND["name"], NOT_EXECUTABLE["mode"]], ids=["not-found", "not-executable"])
def test_message_names_the_command(start: Starter, make: Callable[[Path], str]) -> None:
    init = start(make(start.folder))
    assert init.code() > 0
    assert "command-x" in init.errors()


@pytest.mark.parametrize("state", ["close=2", "redirect=2:/dev/full"], ids=["closed", "full"])
def test_stderr_that_takes_no_message(start: Starter, state: str) -> None:
    assert start("no-such-command-x", prepared=[state]).code() == 127


@pytest.mark.parametrize("second", [True, False], ids=["another-is", "none-is"])
def test_first_in_path_is_not_executable(start: Starter, second: bool) -> None:
    folders = [start.folder / "first", start.folder / "second"]
    for folder, mode in zip(folders, [0o644, 0o755 if second else 0o644], strict=True):
        folder.mkdir()
        file_of(b"#!/bin/sh\nexit 7\n", mode)(folder)
    path = ":".join(map(str, folders))
    assert start("command-x", environment={"PATH": path}).code() == (7 if second else 126)


def test_no_path_at_all(start: Starter) -> None:
    assert start("sh", "-c", "exit 7", prepared=["umask=022"], env={}).code() == 7


@pytest.mark.skipif(not IS_LAUNCHER, reason="exit status of launcher's own")
@pytest.mark.parametrize("words", [[], ["--"], ["--no-such-option", "--", "true"], ["--grace", "x", "--", "true"]])
def test_usage_error(start: Starter, words: list[str]) -> None:
    init = start(*words, init=INIT[:-1])
    assert init.code() == 125
    assert init.errors()
