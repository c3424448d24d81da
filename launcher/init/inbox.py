"""Signals as the kernel writes them down, signalfd(2): nothing is made of one until somebody asks.

sigwaitinfo(2) would do, and does where there is no signalfd.  But Python reads its whole set of signals each time and
makes an object of each that arrives, which takes as long as all else of forwarding; and several times as long when a
process has slept and finds its caches cold, as an init nearly always has.
"""

import _signal
import posix
import sys

from launcher.supervisor import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SIGNALS = [*_signal.valid_signals()]  # a list, which sigwaitinfo reads fastest
SIZE = 128  # bytes of one signal; its first words are number, errno, code, PID and UID
NUMBER = 0 if sys.byteorder == "little" else 3  # where its number is, which fits into a byte
WORD = 4  # bytes
STDERR = 2


class Inbox:
    """The signals pending for this process, all of which are blocked, each to be taken once: by `read(fd, SIZE)`."""

    read: "Callable[[int, int], bytes]"
    """Wait for a signal and return its `SIZE` bytes; read(2) itself, for every call in between takes its time."""

    def __init__(self) -> None:
        fd = libc.signalfd(SIGNALS)
        self.fd, self.read = (_above_stdio(fd), posix.read) if fd >= 0 else (fd, _read)


def wait(seconds: float, signals: "Iterable[int]" = SIGNALS) -> bytes | None:
    """Wait at most so long for one of these signals; return its `SIZE` bytes, None without one."""
    arrived = _signal.sigtimedwait(signals, seconds)
    return _written(arrived) if arrived else None


def sender(signal: bytes) -> str:
    """Return who has sent a signal, for people; "" for none."""
    if not signal:
        return ""
    _number, _errno, code, pid, uid = memoryview(signal).cast("i")[:5]
    if code > 0:
        return "the kernel"
    if pid == 0:
        return "a process outside this PID namespace"
    return f"PID {pid}, UID {uid % 2**32}"


def _above_stdio(fd: int) -> int:
    """Leave what is closed in stdio as it is."""
    if fd > STDERR:
        return fd
    try:
        above = posix.dup2(fd, STDERR + 1, inheritable=False)
    except OSError:  # RLIMIT_NOFILE
        return fd
    posix.close(fd)
    return above


def _read(_fd: int, _size: int) -> bytes:
    return _written(_signal.sigwaitinfo(SIGNALS))


def _written(arrived: "_signal.struct_siginfo") -> bytes:
    words = arrived.si_signo, arrived.si_errno, arrived.si_code, arrived.si_pid, arrived.si_uid
    return b"".join((word % 2**32).to_bytes(WORD, sys.byteorder) for word in words).ljust(SIZE, b"\0")
