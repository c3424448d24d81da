"""The command as a fork of ours that undoes what we have changed, for whatever child.py does not spawn.

Guarantees: signals are blocked until everything is as it was inherited, so one that was forwarded meanwhile acts then,
by the dispositions the command begins with.  No exception leaves the child.
"""

import _signal
import posix
import sys

from launcher.init import environment, terminal
from launcher.init.child import PYTHON_IGNORES, candidates
from launcher.supervisor import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from launcher.init.child import Inherited
    from launcher.init.options import Options

EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126
SHELL = b"/bin/sh"
ENOENT, ENOEXEC, EACCES, ENOTDIR = 2, 8, 13, 20  # errno(3)
LOOK_FURTHER = (ENOENT, ENOTDIR, EACCES)


def start(command: list[bytes], options: "Options | None", inherited: "Inherited") -> int:
    """Fork and execute; return the PID.  No options are the defaults.  Raises OSError if there is no fork to be had."""
    if options and options.pdeathsig:
        _tie_to_parent(options.pdeathsig, posix.getppid())
    pid = posix.fork()
    if pid == 0:
        _become(command, options, inherited)
    _lead_group(pid)  # in both: whoever of us comes later finds it done
    return pid


def _become(command: list[bytes], options: "Options | None", inherited: "Inherited") -> "NoReturn":
    code = EXIT_NOT_EXECUTABLE
    try:
        _lead_group(0)
        if inherited.foreground:
            terminal.set_foreground(posix.getpid())
        environment.for_child()
        if options and options.pdeathsig:
            _tie_to_parent(options.pdeathsig, inherited.pid)
        _give_signals_back(inherited)
        code = _execute(command, shell_fallback=bool(options and options.shell_fallback))
    except BaseException:  # noqa: BLE001 - the border: nothing may unwind into the parent's stack
        sys.excepthook(*sys.exc_info())
    finally:
        posix._exit(code)  # noqa: SLF001 - the function's name


def _lead_group(pid: int) -> None:
    try:
        posix.setpgid(pid, pid)
    except OSError:  # it has executed already, and so has done it itself; or it is a session's leader
        pass


def _tie_to_parent(signum: int, parent: int) -> None:
    from launcher.supervisor.libc import PR_SET_PDEATHSIG, prctl

    prctl(PR_SET_PDEATHSIG, signum)
    if posix.getppid() != parent:  # gone before the kernel knew that we care
        posix.kill(posix.getpid(), signum)


def _give_signals_back(inherited: "Inherited") -> None:
    """Undo what Python and we have changed; the kernel resets the rest of what has a handler."""
    for signum in PYTHON_IGNORES:
        _signal.signal(signum, _signal.SIG_DFL)
    for signum in inherited.ignored:
        _signal.signal(signum, _signal.SIG_IGN)
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    signals.restore(inherited.mask)


def _execute(command: list[bytes], *, shell_fallback: bool) -> int:
    """Execute the command; return the exit code if that fails."""
    failure = _try_paths(command, shell_fallback=shell_fallback)
    from launcher.init import report

    report.cannot_execute(command[0], failure)
    return EXIT_NOT_FOUND if failure.errno == ENOENT else EXIT_NOT_EXECUTABLE


def _try_paths(command: list[bytes], *, shell_fallback: bool) -> OSError:
    """Try what execvp(3) would; return the failure that says most: a file that may not be run before none."""
    worst = OSError(ENOENT, posix.strerror(ENOENT))
    for path in candidates(command[0]):
        try:
            posix.execv(path, command)
        except OSError as failure:
            if failure.errno == ENOEXEC and shell_fallback:
                return _try_paths([SHELL, path, *command[1:]], shell_fallback=False)
            if failure.errno not in LOOK_FURTHER or b"/" in command[0]:
                return failure
            if failure.errno == EACCES:
                worst = failure
    return worst
