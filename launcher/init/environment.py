"""What the kernel gave us, byte for byte: Python decodes arguments, and adds to the environment.

Without LC_ALL, LC_CTYPE or LANG, Python sets LC_CTYPE to a UTF-8 locale for itself (PEP 538), also
where it is isolated, and every command that it executes would inherit that.  The C library's
`environ`, which execv(2) passes on, is otherwise untouched: order, doubles and malformed entries are
kept by changing nothing there but this.
"""

import posix
import sys

COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")  # what Python may set LC_CTYPE to, and nothing else
LISTEN_PID = b"LISTEN_PID"


def arguments(count: int) -> list[bytes]:
    """Return the last `count` arguments of this process."""
    if not count:
        return []
    try:
        return _read("/proc/self/cmdline").split(b"\0")[:-1][-count:]
    except OSError:  # no /proc
        return [word.encode(sys.getfilesystemencoding(), "surrogateescape") for word in sys.argv[-count:]]


def as_given() -> dict[bytes, bytes] | None:
    """Return what we were given; None where that takes more than a mapping, or the command has to get another."""
    try:
        given = _read("/proc/self/environ").split(b"\0")[:-1]
        variables = dict(entry.split(b"=", 1) for entry in given)
    except (OSError, ValueError):  # no /proc; an entry without a value
        return None
    if len(variables) < len(given) or b"" in variables or LISTEN_PID in variables:
        return None
    return variables


def for_child() -> None:
    """In the forked child: make the environment what it would have been without us."""
    _undo_coercion()
    if posix.environ.get(LISTEN_PID) == b"%d" % posix.getppid():  # sockets were passed to us, and so to the command
        posix.putenv(LISTEN_PID, b"%d" % posix.getpid())


def _undo_coercion() -> None:
    if posix.environ.get(b"LC_CTYPE") not in COERCED:
        return
    try:
        given = _read("/proc/self/environ").split(b"\0")
    except OSError:  # no /proc: whoever sets this very value himself is mistaken for Python
        posix.unsetenv(b"LC_CTYPE")
        return
    for entry in given:
        if entry.startswith(b"LC_CTYPE="):
            posix.putenv(b"LC_CTYPE", entry.removeprefix(b"LC_CTYPE="))
            return
    posix.unsetenv(b"LC_CTYPE")


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
