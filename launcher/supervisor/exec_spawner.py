"""How a command comes to be: forked by PID 1 itself, and executed.

Guarantees: the command begins with every signal at its default and none blocked, in a process group of its
own, with the environment of the container and its own number in LAUNCHER_WORKER_ID, and with no descriptor
but /dev/null as stdin, its two output pipes, and the listening sockets of its service from 3 on
(sd_listen_fds(3)).  TERM tells it when the supervisor is gone.  What cannot be executed is told as a notice,
and ends with 127 or 126.
"""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.init import environment
from launcher.supervisor import signals
from launcher.supervisor.libc import PR_SET_PDEATHSIG, prctl
from launcher.supervisor.notices import ExecFailed, announce
from launcher.supervisor.spawn import fork

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from launcher.supervisor.spawn import Ties

EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126
SIGTERM = 15
WORKER_ID = "LAUNCHER_WORKER_ID"


@dataclass(frozen=True, slots=True)
class Execution:
    """What is to be executed, and how it is connected."""

    service: str
    slot: int
    words: list[str]
    output: tuple[int, int]
    """The ends for writing of the pipes for stdout and stderr."""
    notify_socket: str
    """What NOTIFY_SOCKET is to be, if anything."""


def spawn(execution: Execution, listeners: Sequence[socket.socket], ties: Ties) -> int:
    """Fork and execute; return the PID.  Raises OSError if there is no fork to be had."""
    fds = [listener.fileno() for listener in listeners]

    def become() -> int:
        os.setpgid(0, 0)
        if ties.supervisor != 1:  # with PID 1 the kernel ends everybody
            prctl(PR_SET_PDEATHSIG, SIGTERM)
            if os.getppid() != ties.supervisor:
                return EXIT_NOT_EXECUTABLE
        try:
            notice_fd = _place_descriptors((*execution.output, *fds), ties.notice_fd)
        except OSError as error:  # out of descriptors; nothing was moved yet
            return _failed(error.errno or errno.EMFILE, ties.notice_fd)
        _set_environment(execution, len(fds))
        return _execute(execution.words, notice_fd)

    return fork(become, prologue=signals.clean_slate)


def _place_descriptors(output_and_sockets: Sequence[int], notice_fd: int) -> int:
    """Make these 1, 2, 3 and so on, stdin /dev/null, and let all else go when we execute; return the notice pipe's."""
    sources = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), *output_and_sockets]
    beyond = len(sources)
    # First out of each other's way: a source may have the number that another one is to get.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, beyond) for fd in (*sources, notice_fd)]
    for number, fd in enumerate(moved[:-1]):
        os.dup2(fd, number)
    _close_on_exec(beyond)
    return moved[-1]


def _close_on_exec(first: int) -> None:
    """Also what whoever started us has left open."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:  # no /proc; ours are so from the beginning
        return
    for fd in map(int, names):
        if fd >= first:
            try:
                os.set_inheritable(fd, False)
            except OSError:  # the one that listed them
                continue


def _set_environment(execution: Execution, sockets: int) -> None:
    environment.for_child()
    os.environ[WORKER_ID] = str(execution.slot)
    if sockets:
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = str(sockets)
        os.environ["LISTEN_FDNAMES"] = ":".join([execution.service] * sockets)
    if execution.notify_socket:
        os.environ["NOTIFY_SOCKET"] = execution.notify_socket


def _execute(words: list[str], notice_fd: int) -> int:
    """Execute, by PATH unless there is a slash; return the exit code if that fails."""
    try:
        os.execvp(words[0], words)
    except OSError as error:
        failure = error.errno or errno.EINVAL
    return _failed(failure, notice_fd)


def _failed(failure: int, notice_fd: int) -> int:
    """Tell the errno; return the exit code that it stands for."""
    announce(notice_fd, ExecFailed(os.getpid(), failure))
    return EXIT_NOT_FOUND if failure in (errno.ENOENT, errno.ENOTDIR) else EXIT_NOT_EXECUTABLE
