"""The command has the descriptors that the init was given, and the init stands in the way of none."""

from __future__ import annotations

import ast
import os
import select
from typing import TYPE_CHECKING, BinaryIO

import pytest

from tests.functional.cases import both_ways
from tests.functional.conformance.harness import PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.conformance.harness import Starter

PREPARED = {
    "none-closed": "umask=022",
    "stdin-closed": "close=0",
    "stdout-closed": "close=1",
    "stderr-closed": "close=2",
    "outputs-closed": "close=1,2",
    "all-closed": "close=0,1,2",
    "stdin-null": "redirect=0:/dev/null",
    "all-full": "redirect=1:/dev/full",
}


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Make a pipe: an end to read from, an end to write to."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as for_reading, os.fdopen(writer, "wb") as for_writing:
        yield for_reading, for_writing


def descriptors(start: Starter, **options: object) -> dict[int, list[str]]:
    """Return what the command has open."""
    found = start.folder / "descriptors"
    init = start(*PAYLOAD, "descriptors", str(found), **options)
    assert init.code() == 0, init.errors()
    return ast.literal_eval(found.read_text(encoding="utf-8"))


@both_ways
@pytest.mark.parametrize("prepared", PREPARED.values(), ids=PREPARED)
def test_standard_streams(start: Starter, prepared: str, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    same = {"prepared": [prepared], "stdin": pipe[0], "stdout": pipe[1], "stderr": pipe[1]}
    bare = descriptors(start, init=(), **same)
    assert bare.keys() == {0, 1, 2} - {int(fd) for fd in prepared.removeprefix("close=").split(",") if fd.isdigit()}
    assert descriptors(start, **same) == bare


@both_ways
@pytest.mark.parametrize("number", [3, 9, 800])
def test_inherited_descriptor_is_kept(start: Starter, number: int, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    # `LISTEN_FDS`, `<(...)` and job servers live on it.
    inherited = pipe[1].fileno()
    kept = descriptors(start, pass_fds=[inherited], prepared=[f"move={inherited}:{number}"])
    assert kept.keys() == {0, 1, 2, number}
    assert kept[number][0].startswith("pipe:")


@both_ways
def test_init_does_not_hold_what_the_command_closed(start: Starter, pipe: tuple[BinaryIO, BinaryIO]) -> None:
    # unshare(1) and nsenter(1) around the init hold what they are given, so it comes to life inside.
    fifo = start.folder / "fifo"
    os.mkfifo(fifo)
    with os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        script = 'exec 4>"$1"; shift; exec "$@"'
        init = start(*PAYLOAD, "close", "4", outer=["sh", "-c", script, "sh", str(fifo)])
        assert init.line() == "closed"
        readable, _, _ = select.select([reader], [], [], 1)
        assert readable, "somebody still holds the pipe"
        assert reader.read() == b""


@both_ways
@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_stdin_to_stdout(start: Starter, size: int) -> None:
    source = start.folder / "source"
    source.write_bytes(os.urandom(size))
    with source.open("rb") as stdin:
        init = start("cat", stdin=stdin)
    assert init.rest() == source.read_bytes()
    assert init.code() == 0


@both_ways
def test_stdin_is_not_read_ahead(start: Starter) -> None:
    source = start.folder / "source"
    source.write_bytes(b"first\nsecond\n")
    with source.open("rb") as stdin:
        assert start("sh", "-c", "read line; echo $line", stdin=stdin).code() == 0
        assert stdin.read() == b"second\n"


@both_ways
def test_output_is_appended(start: Starter) -> None:
    target = start.folder / "target"
    target.write_bytes(b"before\n")
    with target.open("ab") as stdout:
        assert start("sh", "-c", "echo out; echo err >&2", stdout=stdout, stderr=stdout).code() == 0
    assert target.read_bytes() == b"before\nout\nerr\n"


@both_ways
def test_script_on_stdin(start: Starter) -> None:
    script = start.folder / "script"
    script.write_text("echo from stdin\nexit 7\n")
    with script.open("rb") as stdin:
        init = start("sh", stdin=stdin)
    assert (init.rest(), init.code()) == (b"from stdin\n", 7)
