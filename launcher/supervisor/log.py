"""The supervisor's own log: lines on stderr, in a format that people or machines read.

Guarantees: never blocks and never raises.  A line that stderr does not take is dropped and counted,
and the count is told as soon as there is room again: a log reader that hangs must not hang PID 1.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from time import gmtime, strftime, time

from launcher.supervisor.unpatched import unpatched

LEVELS = ("debug", "info", "warning", "error")
STDERR = 2
POLLOUT = 4  # poll(2)
PIPE_BUF = 4096  # bytes that a writable pipe takes at once; pipe(7)


class Log:
    """Writes lines at or above a level.

    Parameters: `level`, one of `LEVELS`; `style`, `console` or `json`.
    """

    def __init__(self, level: str = "info", style: str = "console") -> None:
        self.configure(level, style)
        self._lost = 0
        self._fd = _open_nonblocking(STDERR)

    def configure(self, level: str, style: str) -> None:
        """Change level and format."""
        self._threshold = LEVELS.index(level)
        self._style = style

    def say(self, level: str, text: str) -> None:
        """Write a line."""
        if LEVELS.index(level) < self._threshold:
            return
        if self._lost:
            loss = self._format("warning", f"{self._lost} log lines were lost: stderr did not take them")
            if self._write(loss):
                self._lost = 0
        self.raw(self._format(level, text))

    def close(self) -> None:
        """Close what was opened here; further lines go to stderr itself."""
        if self._fd != STDERR:
            os.close(self._fd)
            self._fd = STDERR

    def raw(self, text: str) -> None:
        """Write a line as it is: an error message of the program itself."""
        if not self._write(text):
            self._lost += 1

    def _format(self, level: str, text: str) -> str:
        now = time()
        stamp = f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(now))}.{int(now % 1 * 1000):03d}Z"
        if self._style == "json":
            line = {"time": stamp, "level": level, "process": os.getpid(), "logger": "launcher", "message": text}
            return json.dumps(line)
        return f"{stamp} {level.upper():7} launcher[{os.getpid()}] {text}"

    def _write(self, line: str) -> bool:
        """Write a line unless that would block; return whether it needs no other try."""
        data = f"{line}\n".encode(errors="backslashreplace")[-PIPE_BUF:]
        try:
            return self._takes_now() and bool(unpatched("os").write(self._fd, data))
        except BlockingIOError:
            return False
        except OSError:  # closed, or the reader is gone: there is nobody to tell
            return True

    def _takes_now(self) -> bool:
        """Whether a write will not block: certain for a descriptor of our own, else asked."""
        if self._fd != STDERR:
            return True
        poll = unpatched("select").poll()
        poll.register(STDERR, POLLOUT)
        return bool(poll.poll(0))


def _open_nonblocking(fd: int) -> int:
    """Open a pipe or terminal anew: setting O_NONBLOCK on the shared one would change it for the workers too."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:  # no /proc, or not ours to open
        pass
    return fd


def open_missing_stdio() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed, or a pipe of ours would take its number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
