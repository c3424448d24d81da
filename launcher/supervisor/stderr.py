"""Lines on stderr that never wait for their reader: a log reader that hangs must not hang PID 1.

Guarantees: `write` neither blocks nor raises.  It imports only what every Python has loaded, for
`launcher exec` writes through it as well.
"""

import posix

STDERR = 2
POLLOUT = 4  # poll(2)
PIPE_BUF = 4096  # bytes that a writable pipe takes at once; pipe(7)
S_IFMT, S_IFIFO, S_IFCHR = 0o170000, 0o010000, 0o020000  # inode(7)


class Stderr:
    """The stderr of this process, opened anew where that is possible."""

    def __init__(self) -> None:
        self._fd = open_nonblocking(STDERR)

    def write(self, text: str) -> bool:
        """Write, the end of it at least; return whether it was taken, or there is nobody to take it."""
        data = text.encode(errors="backslashreplace")[-PIPE_BUF:]
        try:
            return self._takes_now() and posix.write(self._fd, data) > 0
        except BlockingIOError:
            return False
        except OSError:  # closed, or the reader is gone: there is nobody to tell
            return True

    def close(self) -> None:
        """Close what was opened here; what is written from now on goes to stderr itself."""
        if self._fd != STDERR:
            posix.close(self._fd)
            self._fd = STDERR

    def _takes_now(self) -> bool:
        """Whether a write will not block: certain for a descriptor of our own, else asked."""
        if self._fd != STDERR:
            return True
        from launcher.supervisor.unpatched import unpatched

        poll = unpatched("select").poll()
        poll.register(STDERR, POLLOUT)
        return bool(poll.poll(0))


def open_nonblocking(fd: int) -> int:
    """Open a pipe or terminal anew: setting O_NONBLOCK on the shared one would change it for everybody."""
    try:
        if posix.fstat(fd).st_mode & S_IFMT in {S_IFIFO, S_IFCHR}:
            flags = posix.O_WRONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC
            return posix.open(f"/proc/self/fd/{fd}", flags)
    except OSError:  # no /proc, or not ours to open
        pass
    return fd
