"""The other end of sd_notify(3), as systemd holds it."""

from __future__ import annotations

import socket
import struct

from tests.functional.waiting import wait_for

CREDENTIALS = struct.Struct("3i")


class Ear:
    """Hears messages, each as a dictionary; `senders` are the PIDs of those who have sent them.

    `address` is what NOTIFY_SOCKET is to be: a path, or a name after `@`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[dict[str, str]] = []
        self.senders: set[int] = set()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(address.replace("@", "\0"))
        self.socket.setblocking(False)

    def hear(self) -> list[dict[str, str]]:
        """Take what has arrived; return everything that was ever said."""
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return self.messages
            self.senders.update(CREDENTIALS.unpack(value)[0] for _, _, value in ancillary)
            self.messages.append(dict(line.split("=", 1) for line in data.decode().splitlines()))

    def states(self) -> list[str]:
        """Return what was said of states, in order, without what is for people."""
        names = ("READY", "RELOADING", "STOPPING")
        return [name for message in self.hear() for name in names if message.get(name) == "1"]

    def status(self) -> str:
        """Return the newest line for people."""
        return next((each["STATUS"] for each in reversed(self.hear()) if "STATUS" in each), "")

    def wait_for_states(self, *states: str) -> None:
        """Wait until exactly these were said."""
        wait_for(lambda: self.states()[: len(states)] == [*states], f"{states}, but heard {self.states()}")
        assert self.states() == [*states]

    def wait_for_status(self, text: str) -> None:
        """Wait until the newest line for people has this in it."""
        wait_for(lambda: text in self.status(), f"{text}, but heard {self.status()}")

    def close(self) -> None:
        self.socket.close()
