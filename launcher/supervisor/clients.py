"""One client of the control socket: its request in, the reply out, each a JSON object on a line.

Guarantees: a request is bounded, nothing blocks, and a client that neither asks nor takes its reply is
dropped after `PATIENCE`.  One that waits for something does so for as long as it likes: PID 1
is woken by its going away only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from launcher.supervisor.watching import EPOLLOUT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from launcher.supervisor.watching import Watcher

    Reply = dict[str, Any]
    Answer = Callable[[dict[str, Any], "Client"], Reply | None]

REQUEST_MAX = 4096  # bytes
PATIENCE = 5.0  # seconds
HANG_UP_ONLY = 0  # which epoll tells of unasked


class Client:
    """A connection.

    Parameters: `answer`, from request and client to reply, or None if the client is to wait for it;
    `dropped`, to be told when the connection is over.
    """

    def __init__(
        self, connection: socket.socket, loop: Watcher, answer: Answer, dropped: Callable[[Client], None]
    ) -> None:
        self._connection, self._loop = connection, loop
        self._answer, self._dropped = answer, dropped
        self._request = bytearray()
        self._reply = b""
        self.fd = connection.fileno()
        self.waits = False
        self.is_gone = False
        self._loop.watch(self.fd, self._read)
        self._timer = loop.timers.after(PATIENCE, self.drop)

    def reply(self, reply: Reply) -> None:
        """Answer at last; of a client that is gone nobody hears."""
        if not self.is_gone:
            self.waits = False
            self._reply = json.dumps(reply).encode() + b"\n"
            self._send()

    def drop(self) -> None:
        """Close the connection."""
        if self.is_gone:
            return
        self.is_gone, self.waits = True, False
        self._timer.cancel()
        self._loop.unwatch(self.fd)
        self._connection.close()
        self._dropped(self)

    def close_in_child(self) -> None:
        """Close the copy that a fork has made."""
        self._connection.close()

    def _read(self) -> None:
        try:
            data = self._connection.recv(REQUEST_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._request += data
        if not data:
            self.drop()
        elif b"\n" in self._request or len(self._request) >= REQUEST_MAX:
            self._ask()

    def _ask(self) -> None:
        try:
            request = json.loads(self._request.partition(b"\n")[0])
        except (ValueError, RecursionError):
            self.reply({"error": "not JSON"})
            return
        if not isinstance(request, dict):
            self.reply({"error": "not an object"})
        elif (reply := self._answer(request, self)) is not None:
            self.reply(reply)
        else:
            self.waits = True
            self._timer.cancel()
            self._loop.watch(self.fd, self.drop, HANG_UP_ONLY)

    def _send(self) -> None:
        try:
            sent = self._connection.send(self._reply)
        except BlockingIOError:
            sent = 0
        except OSError:  # it did not wait for the answer
            sent = len(self._reply)
        self._reply = self._reply[sent:]
        if not self._reply:
            self.drop()
            return
        self._loop.watch(self.fd, self._send, EPOLLOUT)
        if not self._timer.is_set:
            self._timer = self._loop.timers.after(PATIENCE, self.drop)
