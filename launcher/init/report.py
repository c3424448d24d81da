"""What people are told: one line on stderr, and in the termination log, when something is not as it should be.

Nothing is said of an ordinary end, and a reader that hangs does not hang us.
"""

import posix

from launcher.supervisor import signals, termination_log
from launcher.supervisor.stderr import Stderr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.supervisor.cgroup import OomKills

SIGKILL = 9
ENOENT = 2  # errno(3)


def say(text: str) -> None:
    """Write a line."""
    stderr = Stderr()  # each time: between two lines we hold no descriptor that is not the command's, too
    stderr.write(f"launcher: {text}\n")
    stderr.close()


def fail(text: str) -> None:
    """Write why nothing was run."""
    say(f"error: exec: {text}")
    _log(text)


def cannot_execute(name: bytes, failure: OSError) -> None:
    """Write why a command was not executed."""
    is_there = failure.errno == ENOENT and b"/" in name and posix.access(name, posix.F_OK)
    what = ": it is there, but not the interpreter or loader that it names" if is_there else ""
    fail(f"cannot execute {shown(name)}: {posix.strerror(failure.errno or 0).lower()}{what}")


def killed(name: bytes, end: "posix.waitid_result", sender: str, oom_kills: "OomKills") -> None:
    """Write what ended the command, as far as can be known."""
    text = f"{shown(name)} was killed by {signals.name_of(end.si_status)}"
    if end.si_code == posix.CLD_DUMPED:
        text += " (core dumped)"
    if sender:
        text += f", sent by {sender}"
    elif end.si_status == SIGKILL and oom_kills.have_grown():
        text += ": out of memory, the limit of its cgroup was reached"
    say(text)
    _log(text)


def reaped(pid: int) -> None:
    """Write that an orphan was reaped."""
    say(f"warning: reaped PID {pid}, whose parent did not wait for it")


def shown(name: bytes) -> str:
    """Return a command's name for people."""
    return repr(name.decode(errors="backslashreplace"))


def _log(text: str) -> None:
    termination_log.write(termination_log.PATH, f"{text}\n", posix.O_APPEND)  # the command may have written there
