"""The command's arguments are as given, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

SCRIPT = b"cat /proc/$$/cmdline; exit 7"
ARGUMENTS = {
    "none": [],
    "spaces": [b"a b", b" ", b"\ttab "],
    "newlines": [b"a\nb", b"\n"],
    "quotes": [b"'", b'"', b"$HOME `id` \\ * ?"],
    "not-utf-8": [b"\xff\xfe", b"caf\xe9", bytes(range(1, 256))],
    "utf-8": ["grüße 🐍".encode(), b"\xed\xa0\x80"],
    "empty": [b"", b"", b"x", b""],
    "dashes": [b"-h", b"--help", b"--version", b"-v", b"-g", b"-s", b"--grace", b"1"],
    "double-dash": [b"--", b"a", b"--"],
    "long": [b"x" * 100_000],
    "many": [b"%d" % number for number in range(5_000)],
}


@both_ways
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_as_given(start: Starter, arguments: list[bytes]) -> None:
    command = [b"sh", b"-c", SCRIPT, b"name", *arguments]
    init = start(*command)
    assert init.rest() == b"\0".join(command) + b"\0"
    assert init.code() == 7


@pytest.mark.parametrize("name", ["-h", "--", "--version"])
def test_command_that_looks_like_an_option(start: Starter, name: str) -> None:
    command = start.folder / name
    command.write_text('#!/bin/sh\necho "$1"\nexit 7\n')
    command.chmod(0o755)
    init = start(name, "--help", environment={"PATH": f"{start.folder}:/usr/bin:/bin"})
    assert (init.rest(), init.code()) == (b"--help\n", 7)
