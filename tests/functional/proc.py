"""What /proc says of processes; all PIDs are as this process sees them.  A process that is gone says nothing."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

Pipe = tuple[str, str]
"""A pipe's name and whether this end is for reading ("r") or writing ("w")."""


def children(pid: int) -> list[int]:
    """PIDs of the direct children."""
    return [int(child) for child in _read(pid, f"task/{pid}/children").split()]


def descendants(pid: int) -> list[int]:
    """PIDs of all below a process."""
    found = [pid]
    for each in found:
        found += children(each)
    return found[1:]


def marked(mark: str) -> list[int]:
    """PIDs of all processes that have `mark` in their environment, wherever in the tree they are."""
    return [pid for pid in _all() if mark in _read(pid, "environ")]


def field(pid: int, name: str) -> str:
    """Return a value out of the file status, "" if there is none."""
    found = re.search(rf"^{name}:\s*(.*)$", _read(pid, "status"), re.MULTILINE)
    return found[1] if found else ""


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and was not reaped."""
    return field(pid, "State").startswith("Z")


def stands_still(pid: int) -> bool:
    """Whether a process is stopped by a signal, with all of its threads: that takes the kernel a moment."""
    threads = [_read(pid, f"task/{thread.name}/status") for thread in Path(f"/proc/{pid}/task").iterdir()]
    return all(re.search(r"^State:\s*[Tt]", status, re.MULTILINE) for status in threads)


def inner(pid: int) -> int:
    """Return a process's PID as it sees itself."""
    return int((field(pid, "NSpid") or "0").split()[-1])


def signals(pid: int, which: str) -> set[int]:
    """Return a set of signals out of the file status; `which` is SigBlk, SigCgt, ..."""
    mask = int(field(pid, which) or "0", 16)
    return {signum for signum in range(1, 65) if mask >> (signum - 1) & 1}


def command(pid: int) -> str:
    """Return the command line, words separated by blanks."""
    return _read(pid, "cmdline").replace("\0", " ")


def descriptors(pid: int) -> dict[int, str]:
    """Return what each open descriptor is."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found[int(entry.name)] = os.readlink(entry)  # noqa: PTH115 - not a path, `pipe:[123]`
    return found


def pipes(pid: int) -> set[Pipe]:
    """Return the pipe ends that a process holds beside its standard streams."""
    return {
        (name, "w" if _is_for_writing(pid, fd) else "r")
        for fd, name in descriptors(pid).items()
        if name.startswith("pipe:") and fd > 2
    }


def maps(pid: int) -> str:
    """Return the file maps: what a process has mapped into its memory."""
    return _read(pid, "maps")


def own_memory(pid: int) -> int:
    """Return how many KiB a process shares with nobody."""
    found = re.findall(r"^Private_\w+:\s+(\d+) kB", _read(pid, "smaps_rollup"), re.MULTILINE)
    return sum(int(amount) for amount in found)


def memory_contains(pid: int, text: bytes) -> bool:
    """Whether `text` is anywhere in the writable memory of a process."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps(pid).splitlines():
            start, end, access = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not access.startswith("rw"):
                continue
            memory.seek(int(start, 16))
            with suppress(OSError):
                if text in memory.read(int(end, 16) - int(start, 16)):
                    return True
    return False


def _is_for_writing(pid: int, fd: int) -> bool:
    flags = re.search(r"^flags:\s*(\d+)$", _read(pid, f"fdinfo/{fd}"), re.MULTILINE)
    return bool(flags and int(flags[1], 8) & os.O_ACCMODE)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except OSError:
        return ""
