"""prctl(2), which Python does not wrap; ctypes is imported by those who need it, not by PID 1."""

from __future__ import annotations

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> bool:
    """Set a process attribute; return whether the kernel took it."""
    try:
        import ctypes
    except ImportError:  # a Python without libffi
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
