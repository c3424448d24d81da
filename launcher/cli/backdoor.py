"""`launcher backdoor PATH`: enter the debugging shell of a worker, for who has no socat at hand."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from launcher.cli import client
from launcher.errors import ControlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher backdoor PATH"
STDIN, STDOUT = 0, 1


def main(argv: Sequence[str]) -> int:
    """Connect this terminal with a worker until either end is over; return the exit code."""
    return client.run(_backdoor, argv, USAGE)


def _backdoor(words: list[str], _runtime_dir: str) -> int:
    if len(words) != 1:
        raise UsageError(f"takes the path of a worker's socket, as backdoor_socket has it; {USAGE}")
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(words[0])
            _converse(door)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ControlError(f"{words[0]}: {reason}; is backdoor_socket set, and the worker up?") from None
    return 0


def _converse(door: socket.socket) -> None:
    poll = select.poll()
    for fd in (STDIN, door.fileno()):
        poll.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if door.fileno() in ready:
            if not (said := door.recv(65536)):
                return
            os.write(STDOUT, said)
        elif entered := os.read(STDIN, 65536):
            door.sendall(entered)
        else:
            poll.unregister(STDIN)
            door.shutdown(socket.SHUT_WR)
