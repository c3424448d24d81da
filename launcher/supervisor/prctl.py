"""prctl(2), which Python does not wrap.

`ctypes` spends 4 ms on types that nobody needs here; the module below it can call a function, too.
It has no documented interface, so whatever is missing there, `ctypes` does it.
"""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> bool:
    """Set a process attribute; return whether the kernel took it."""
    try:
        return _call(option, value) == 0
    except (ImportError, AttributeError, TypeError, OSError):
        return _call_by_ctypes(option, value) == 0


def _call(option: int, value: int) -> int:
    import _ctypes

    address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]
    result: int = _ctypes.call_function(address, (option, value, 0, 0, 0))
    return result


def _call_by_ctypes(option: int, value: int) -> int:
    try:
        import ctypes
    except ImportError:  # a Python without libffi
        return -1
    result: int = ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    return result
