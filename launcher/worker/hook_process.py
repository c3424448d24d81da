"""The short-lived processes that hooks run in: what they do must not stay in the mold, nor come near the supervisor.

Guarantees: a hook that does not end in time is killed by the kernel, whatever it does; none outlives the supervisor.
"""

from __future__ import annotations

import os
import posix
import signal
import sys
from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError
from launcher.supervisor.signals import name_of
from launcher.supervisor.spawn import fork
from launcher.worker import backends
from launcher.worker.handlers import ignore
from launcher.worker.main import reseed
from launcher.worker.parent import die_with

if TYPE_CHECKING:
    from launcher.worker.hooks import Hook, WorkerEnd

REASON_MAX = 4096  # bytes, which a pipe takes at once


def run_and_wait(hook: Hook, conf: Any, timeout: float) -> None:
    """Run a hook in a child of this process, `timeout` seconds at most (0: no limit), until it has ended.

    Raises `ConfigError` if it fails.
    """
    ours, theirs = os.pipe()
    mold = os.getpid()

    def child() -> int:
        die_with(mold, signal.SIGTERM)
        return _run(hook, conf, None, timeout, theirs)

    pid = fork(child, prologue=lambda: os.close(ours))
    os.close(theirs)
    end = os.waitid(os.P_PID, pid, os.WEXITED)
    reason = _take(ours)
    if end is None or (end.si_code == os.CLD_EXITED and not end.si_status):
        return
    if end.si_code == os.CLD_EXITED:
        raise ConfigError(reason or f"{hook}: ended with exit code {end.si_status}")
    late = timeout and end.si_status == signal.SIGALRM
    raise ConfigError(
        f"{hook}: {f'did not end within {timeout:g} s' if late else f'killed by {name_of(end.si_status)}'}"
    )


def _take(fd: int) -> str:
    """Read what was written, without waiting for a process that the hook has left behind; close it."""
    os.set_blocking(fd, False)
    try:
        return posix.read(fd, REASON_MAX).decode(errors="replace")  # eventlet's would wait
    except BlockingIOError:
        return ""
    finally:
        os.close(fd)


def outlast_term() -> None:
    """Go on when all is over and everybody left gets TERM: a second is left, enough for the last worker's hook."""
    ignore(signal.SIGTERM)


def run_alone(hook: Hook, conf: Any, about: WorkerEnd | None, timeout: float, supervisor: int) -> int:
    """Run a hook in this process, which the supervisor has adopted; return the exit code."""
    if not die_with(supervisor, signal.SIGKILL):
        return 1
    return _run(hook, conf, about, timeout, None)


def _run(hook: Hook, conf: Any, about: WorkerEnd | None, timeout: float, reason_fd: int | None) -> int:
    backends.current().after_fork()
    reseed()
    signal.setitimer(signal.ITIMER_REAL, timeout)  # its default action is death
    try:
        hook.run(conf, about)
    except ConfigError as error:
        if reason_fd is None:
            sys.stderr.write(f"launcher: error: {error}\n")
        else:
            os.write(reason_fd, str(error).encode(errors="backslashreplace")[:REASON_MAX])
        return 1
    return 0
