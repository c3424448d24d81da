"""The instant at which a program has made its first system call, as ptrace(2) sees it.

No program can act earlier, so from there on it can be held to what it does about signals, however busy the machine is.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CONTINUE_TO_SYSTEM_CALL, DETACH, SEIZE = 24, 17, 0x4206
MARK_SYSTEM_CALLS, TELL_EXEC = 0x01, 0x10
EXEC = signal.SIGTRAP | 4 << 8
SYSTEM_CALL = signal.SIGTRAP | 0x80

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = [ctypes.c_long] * 4
_ptrace.restype = ctypes.c_long


def after_first_system_call(pid: int, go: Callable[[], None]) -> None:
    """Have a process that executes a program at `go` do so; return when that has made one system call."""
    ptrace(SEIZE, pid, MARK_SYSTEM_CALLS | TELL_EXEC)
    go()
    await_stop(pid, EXEC)
    for _ in ("execve ends", "the first begins", "the first ends"):
        ptrace(CONTINUE_TO_SYSTEM_CALL, pid)
        await_stop(pid, SYSTEM_CALL)
    ptrace(DETACH, pid)


def await_stop(pid: int, why: int) -> None:
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), f"ended with {status:#x} instead of a stop"
    assert status >> 8 == why


def ptrace(request: int, pid: int, data: int = 0) -> None:
    if _ptrace(request, pid, 0, data):
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
