"""The command has every attribute that it would have had without the init."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

STATUS = ("cat", "/proc/self/status")
# What is prepared, and the command that shows it.
ATTRIBUTES = {
    "cwd": ((), ("readlink", "/proc/self/cwd")),
    "root": ((), ("readlink", "/proc/self/root")),
    "limits": ((), ("cat", "/proc/self/limits")),
    "limits-lowered": (
        ("limit=NOFILE:64:128", "limit=CORE:0:4096", "limit=FSIZE:100000:200000", "limit=STACK:1048576:2097152"),
        ("cat", "/proc/self/limits"),
    ),
    "nice": (("nice=7",), ("cut", "-d ", "-f19", "/proc/self/stat")),
    "oom-score-adj": (("write=/proc/self/oom_score_adj:321",), ("cat", "/proc/self/oom_score_adj")),
    "timer-slack": (("write=/proc/self/timerslack_ns:70000",), ("cat", "/proc/self/timerslack_ns")),
    "coredump-filter": (("write=/proc/self/coredump_filter:0x11",), ("cat", "/proc/self/coredump_filter")),
    "personality": ((), ("cat", "/proc/self/personality")),
    "cgroup": ((), ("cat", "/proc/self/cgroup")),
    "namespaces": (
        (),
        ("readlink", "/proc/self/ns/net", "/proc/self/ns/ipc", "/proc/self/ns/uts", "/proc/self/ns/user"),
    ),
}
# What is prepared, and the lines of /proc/self/status that show it.
STATUS_LINES = {
    "umask": (("umask=027",), ("Umask",)),
    "affinity": (("affinity=0",), ("Cpus_allowed",)),
    "users": ((), ("Uid", "Gid", "Groups")),
    "capabilities": ((), ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
    "privileges": ((), ("NoNewPrivs", "Seccomp", "THP_enabled")),
}


def shown(text: bytes, names: tuple[str, ...]) -> list[bytes]:
    return [line for line in text.splitlines() if line.split(b":")[0].decode() in names]


@both_ways
@pytest.mark.parametrize(("prepared", "command"), ATTRIBUTES.values(), ids=ATTRIBUTES)
def test_attribute(start: Starter, prepared: tuple[str, ...], command: tuple[str, ...]) -> None:
    without = ["umask=022", *prepared]
    bare = start(*command, prepared=without, init=()).rest()
    assert bare
    if command[0] == "cut" or "cwd" in command[-1]:
        assert bare.strip() in {b"7", str(start.folder).encode()}
    assert start(*command, prepared=without).rest() == bare


@both_ways
@pytest.mark.parametrize(("prepared", "names"), STATUS_LINES.values(), ids=STATUS_LINES)
def test_status(start: Starter, prepared: tuple[str, ...], names: tuple[str, ...]) -> None:
    without = ["umask=022", *prepared]
    bare = shown(start(*STATUS, prepared=without, init=()).rest(), names)
    assert len(bare) == len(names)
    assert shown(start(*STATUS, prepared=without).rest(), names) == bare


@both_ways
def test_session_is_the_inits(start: Starter) -> None:
    init = start.payload("signals")
    assert os.getsid(init.command) == os.getsid(init.pid)


@both_ways
def test_group_is_not_the_inits(start: Starter) -> None:
    init = start.payload("signals")
    assert os.getpgid(init.command) != os.getpgid(init.pid)


@both_ways
def test_init_does_not_pin_the_working_directory(start: Starter) -> None:
    init = start.payload("signals")
    assert Path(f"/proc/{init.pid}/cwd").readlink() == Path("/")
