"""prctl(2) and signalfd(2), which Python does not wrap.

`ctypes` spends 4 ms on types that nobody needs here; the module below it can call a function, too.
It has no documented interface, so whatever is missing there, `ctypes` does it.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
LONG, SIGSET = 8, 128  # bytes: of what a set of signals is made of, and of the C library's


def prctl(option: int, value: int) -> bool:
    """Set a process attribute; return whether the kernel took it."""
    return _call("prctl", option, value, 0, 0, 0) == 0


def is_subreaper() -> bool:
    """Whether the kernel hands orphans below this process to it."""
    answer = bytearray(4)
    try:
        import ctypes

        into = (ctypes.c_char * 4).from_buffer(answer)
        ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, into, 0, 0, 0)
    except ImportError:  # a Python without libffi
        return False
    return any(answer)


def signalfd(signums: "Iterable[int]") -> int:
    """Return a new descriptor, closed on exec, to read pending signals from; -1 if there is none to be had."""
    kernels = sum(1 << signum - 1 for signum in signums).to_bytes(LONG, sys.byteorder)
    return _call("signalfd", -1, kernels.ljust(SIGSET, b"\0"), posix.O_CLOEXEC)


def _call(name: str, *arguments: int | bytes) -> int:
    try:
        return _call_at_once(name, arguments)
    except (ImportError, AttributeError, TypeError, OSError):
        return _call_by_ctypes(name, arguments)


def _call_at_once(name: str, arguments: tuple[int | bytes, ...]) -> int:
    import _ctypes

    address = _ctypes.dlsym(_ctypes.dlopen(None, 0), name)  # type: ignore[arg-type]
    result: int = _ctypes.call_function(address, arguments)
    return result


def _call_by_ctypes(name: str, arguments: tuple[int | bytes, ...]) -> int:
    try:
        import ctypes
    except ImportError:  # a Python without libffi
        return -1
    result: int = getattr(ctypes.CDLL(None), name)(*arguments)
    return result
