"""A terminal, and the hands and eyes of whoever sits at it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from contextlib import suppress

from tests.functional.conformance.harness import PATIENCE
from tests.functional.waiting import wait_for


class Terminal:
    """A pseudo-terminal that doesn't echo."""

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        self.path = os.ttyname(self._slave)
        self.controlling = [f"controlling={self.path}"]
        self.as_stdin = [*self.controlling, f"redirect=0:{self.path}"]
        self.as_all = [*self.as_stdin, f"redirect=1:{self.path}", f"redirect=2:{self.path}"]
        self._seen = b""
        attributes = termios.tcgetattr(self._slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def resize(self, rows: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))

    def expect(self, text: str) -> None:
        """Read the screen up to this text."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._seen:
            readable, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"no {text!r} on the screen, but {self._seen!r}"
            self._seen += os.read(self._master, 1 << 16)
        self._seen = self._seen.partition(text.encode())[2]

    def foreground(self) -> int:
        """Return the process group that the keyboard belongs to."""
        return os.tcgetpgrp(self._master)

    def wait_for_foreground(self, *, other_than: int) -> None:
        """Wait until the keyboard belongs to another group."""
        wait_for(lambda: self.foreground() not in {0, other_than}, "another group in the foreground", PATIENCE)

    def hang_up(self) -> None:
        """Close the line."""
        for end in (self._master, self._slave):
            with suppress(OSError):
                os.close(end)
        self._master = self._slave = -1
