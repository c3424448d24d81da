"""The controlling terminal, and which process group is in its foreground.

Opened for each question anew: a descriptor that is kept could be one that the command misses, or that
takes the place of a closed stdin.  Having no terminal, or none that answers, is no error.

Assumes that TTOU is blocked: then the kernel lets a background process change the foreground.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TTY = "/dev/tty"
STDIO = (0, 1, 2)  # where there is no /dev/tty, stdin may be the terminal all the same


def foreground() -> int | None:
    """Return the process group in the foreground (0: one outside our PID namespace); None without a terminal."""
    return _ask(posix.tcgetpgrp)


def set_foreground(group: int) -> None:
    """Put a process group of our session into the foreground, if there is a terminal that lets us."""
    _ask(lambda fd: posix.tcsetpgrp(fd, group))


def have_foreground() -> bool:
    """Whether our own process group is in the foreground."""
    return foreground() == posix.getpgrp()


def _ask(question: "Callable[[int], int | None]") -> int | None:
    try:
        own = posix.open(TTY, posix.O_RDWR | posix.O_NOCTTY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return _first_answer(question, STDIO)
    try:
        return _first_answer(question, (own,))
    finally:
        posix.close(own)


def _first_answer(question: "Callable[[int], int | None]", fds: tuple[int, ...]) -> int | None:
    for fd in fds:
        try:
            return question(fd)
        except OSError:  # ENOTTY, EBADF, ENXIO, EPERM, EIO: not this one
            continue
    return None
