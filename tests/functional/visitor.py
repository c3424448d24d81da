"""A client of the backdoor."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from tests.functional.waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

PROMPT, MORE = ">>> ", "... "


class Visitor:
    """Enters lines; what it hears ends at the next prompt."""

    def __init__(self, where: Path | tuple[str, int]) -> None:
        family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(where if isinstance(where, tuple) else str(where))
        self.greeting = self.hear()

    def hear(self) -> str:
        """Return what is said up to a prompt; what there is if it ends without one."""
        heard = ""
        while not heard.endswith((PROMPT, MORE)):
            data = self.socket.recv(65536)
            if not data:
                return heard
            heard += data.decode()
        return heard.removesuffix(PROMPT).removesuffix(MORE)

    def enter(self, line: str) -> str:
        """Enter a line, return what comes of it."""
        self.socket.sendall(line.encode() + b"\n")
        return self.hear()

    def reset(self) -> None:
        """Go away without a word, and leave what was said unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()
