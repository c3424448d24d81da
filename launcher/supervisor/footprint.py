"""How much memory a process takes.

RSS counts every page in full, also those that workers share with each other and with the mold since their forks; PSS
counts a part of them, but the kernel walks all page tables for it.  So RSS is asked first: PSS is never more.
"""

from __future__ import annotations

import os

PAGE = os.sysconf("SC_PAGE_SIZE")


def footprint(pid: int, enough: float = 0.0) -> int:
    """Return the PSS of a process in bytes; its RSS if that is not above `enough`, or PSS may not be read.

    A process that is gone takes nothing.
    """
    size = resident(pid)
    if size <= enough:
        return size
    return proportional(pid) or size


def resident(pid: int) -> int:
    """Return the RSS in bytes; proc_pid_statm(5)."""
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * PAGE if len(words) > 1 else 0


def proportional(pid: int) -> int:
    """Return the PSS in bytes, 0 if it may not be read: the process has given up our user; proc_pid_smaps(5)."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""
