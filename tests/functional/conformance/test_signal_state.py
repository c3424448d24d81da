"""The command's signal mask and dispositions are those that the init was given."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
BLOCKED = {
    "term": [signal.SIGTERM],
    "chld": [signal.SIGCHLD],
    "terminal": [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU],
    "faults": [signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL],
    "real-time": [34, 64],
    "all": CATCHABLE,
}
IGNORED = {
    **{signum.name[3:].lower(): [signum] for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)},
    **{signum.name[3:].lower(): [signum] for signum in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTSTP)},
    **{signum.name[3:].lower(): [signum] for signum in (signal.SIGPIPE, signal.SIGXFSZ)},
    "terminal": [signal.SIGTTIN, signal.SIGTTOU],
    "abrt": [signal.SIGABRT],
    "real-time": [34, 64],
    "nohup": [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT],
}


def states(start: Starter, *prepared: str) -> dict[str, set[int]]:
    """Return the command's signal sets by their names in /proc; cat changes none."""
    init = start("cat", "/proc/self/status", prepared=["umask=022", *prepared])
    lines = dict(line.split(":\t", 1) for line in init.rest().decode().splitlines())
    assert init.code() == 0
    masks = {name: int(lines[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt")}
    ours = set(range(1, 65)) - {32, 33}  # the C library's own, which whoever started us may have ignored
    return {name: {n for n in ours if mask >> (n - 1) & 1} for name, mask in masks.items()}


def listed(signums: list[int]) -> str:
    return ",".join(f"{signum:d}" for signum in signums)


@both_ways
def test_default(start: Starter) -> None:
    assert states(start) == {"SigBlk": set(), "SigIgn": set(), "SigCgt": set()}


@both_ways
@pytest.mark.parametrize("signums", BLOCKED.values(), ids=BLOCKED)
def test_blocked(start: Starter, signums: list[int]) -> None:
    expected = {"SigBlk": set(signums), "SigIgn": set(), "SigCgt": set()}
    assert states(start, f"block={listed(signums)}") == expected


@both_ways
@pytest.mark.parametrize("signums", IGNORED.values(), ids=IGNORED)
def test_ignored(start: Starter, signums: list[int]) -> None:
    expected = {"SigBlk": set(), "SigIgn": set(signums), "SigCgt": set()}
    assert states(start, f"ignore={listed(signums)}") == expected


@both_ways
def test_blocked_and_ignored(start: Starter) -> None:
    state = states(start, "block=10,15", "ignore=1,15")
    assert state == {"SigBlk": {10, 15}, "SigIgn": {1, 15}, "SigCgt": set()}


@both_ways
@pytest.mark.parametrize("signum", [signal.SIGPIPE, signal.SIGXFSZ], ids=["pipe", "xfsz"])
def test_what_python_ignores_kills_the_command(start: Starter, signum: int) -> None:
    assert start("sh", "-c", f"kill -{signum:d} $$; exit 7").code() == 128 + signum


@both_ways
def test_writer_to_a_closed_pipe_ends_quietly(start: Starter) -> None:
    init = start("sh", "-c", "yes | head -n 1")
    assert (init.rest(), init.code(), init.errors()) == (b"y\n", 0, "")
