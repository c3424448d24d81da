"""The supervisor's own log: lines on stderr, in a format that people or machines read.

Guarantees: never blocks and never raises.  A line that stderr does not take is dropped and counted,
and the count is told as soon as there is room again: a log reader that hangs must not hang PID 1.
"""

from __future__ import annotations

import json
import os
import sys
from time import gmtime, strftime, time
from typing import TYPE_CHECKING

from launcher.supervisor.stderr import Stderr

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.supervisor.relay import Origin

LEVELS = ("debug", "info", "warning", "error")


class Log:
    """Writes lines at or above a level.

    Parameters: `level`, one of `LEVELS`; `style`, `console` or `json`.
    """

    def __init__(self, level: str = "info", style: str = "console") -> None:
        self.configure(level, style)
        self._lost = 0
        self._stderr = Stderr()

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

    def lines(self, level: str, texts: Iterable[str]) -> None:
        """Write several lines."""
        for text in texts:
            self.say(level, text)

    def close(self) -> None:
        """Close what was opened here; further lines go to stderr itself."""
        self._stderr.close()

    def raw(self, text: str) -> None:
        """Write a line as it is: an error message of the program itself."""
        if not self._write(text):
            self._lost += 1

    def relayed(self, origin: Origin, line: bytes) -> bytes:
        """Return a line that a command has written, without its end, as it is to be passed on, with its end."""
        if self._style != "json":
            return b"%s[%d] | %s\n" % (origin.service.encode(), origin.slot, line)
        fields = {
            "time": _stamp(),
            "level": "info",
            "process": origin.pid,
            "logger": origin.service,
            "slot": origin.slot,
            "stream": origin.stream,
            "message": line.decode(errors="backslashreplace"),
        }
        return json.dumps(fields).encode() + b"\n"

    def _format(self, level: str, text: str) -> str:
        if self._style == "json":
            line = {"time": _stamp(), "level": level, "process": os.getpid(), "logger": "launcher", "message": text}
            return json.dumps(line)
        return f"{_stamp()} {level.upper():7} launcher[{os.getpid()}] {text}"

    def _write(self, line: str) -> bool:
        return self._stderr.write(f"{line}\n")


def _stamp() -> str:
    now = time()
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(now))}.{int(now % 1 * 1000):03d}Z"


def open_missing_stdio() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed, or a pipe of ours would take its number."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - lives as long as the process
