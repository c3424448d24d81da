"""How the command comes to be: a process as it would have been had we never been there.

Guarantees: nothing is left of us in it but that it leads a process group of its own.

The ordinary case, in which nothing is special but what Python did, is the kernel's and the C library's: posix_spawn(3)
copies none of our memory, which saves a twelfth of the time until the command runs.  It leaves the C library's own
signals ignored, so it is for where they were so already, as below make.  All else, what goes wrong
too, is forked.py's.

Python ignores SIGPIPE and SIGXFSZ before any of our code runs.  Whether they were ignored when we were
started we know from bin/start.c; where that was not, they were not, as nearly every parent has it.
"""

import _signal
import posix
import sys

from launcher.init import environment, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.init.options import Options

DEFAULT_PATH = b"/bin:/usr/bin"  # of execvp(3), where there is no PATH
PYTHON_IGNORES = (_signal.SIGPIPE, _signal.SIGXFSZ)  # as in signals.py, which would take its time to import
RESERVED = frozenset({32, 33})  # the C library's own, nptl(7)
GIVEN = "signals"  # the option of the interpreter with which bin/start.c says what it was given: MASK,IGNORED


class Inherited:
    """What we were given and pass on: the signal mask, what of Python's and ours was ignored, the foreground.

    Parameters: the mask that the program found, and what SIGCHLD did, before we changed them.
    """

    __slots__ = ("foreground", "ignored", "mask", "pid", "reserved_are_ignored")

    def __init__(self, mask: "Iterable[int]", sigchld: object) -> None:
        self.mask = mask
        self.ignored = {_signal.SIGCHLD} if sigchld == _signal.SIG_IGN else set()
        self.reserved_are_ignored = False
        if GIVEN in sys._xoptions:  # noqa: SLF001 - the attribute's name
            self.mask, ignored = map(_members, sys._xoptions[GIVEN].split(","))  # noqa: SLF001 - as above
            self.ignored.update(ignored.intersection(PYTHON_IGNORES))
            self.reserved_are_ignored = ignored >= RESERVED
        self.foreground = terminal.have_foreground()
        self.pid = posix.getpid()

    def is_ordinary(self) -> bool:
        """Whether posix_spawn(3) leaves the command exactly as it would have been."""
        return self.reserved_are_ignored and not (self.mask or self.foreground or _signal.SIGCHLD in self.ignored)


def _members(text: str) -> set[int]:
    """Return the signals in a set as the kernel has it, in hex."""
    bits = int(text, 16)
    return {signum for signum in range(1, _signal.NSIG) if bits >> (signum - 1) & 1} if bits else set()


def start(command: list[bytes], options: "Options | None", inherited: Inherited) -> int:
    """Start it; return the PID.  No options are the defaults.  Raises OSError if there is no process to be had."""
    if not options and inherited.is_ordinary():
        pid = _spawn(command, {*PYTHON_IGNORES} - inherited.ignored)
        if pid:
            return pid
    from launcher.init import forked

    return forked.start(command, options, inherited)


def _spawn(command: list[bytes], not_ignored: "Iterable[int]") -> int:
    """Return the PID, 0 if this is not for here."""
    variables = environment.as_given()
    path = next((path for path in candidates(command[0]) if posix.access(path, posix.X_OK)), None)
    if variables is None or path is None:
        return 0
    try:
        return posix.posix_spawn(path, command, variables, setpgroup=0, setsigmask=(), setsigdef=not_ignored)
    except OSError:  # forked.py can tell why
        return 0


def candidates(name: bytes) -> list[bytes]:
    """Return the paths that execvp(3) would try."""
    if b"/" in name:
        return [name]
    if not name:
        return []
    folders = posix.environ.get(b"PATH", DEFAULT_PATH).split(b":")
    return [folder + b"/" + name if folder else name for folder in folders]
