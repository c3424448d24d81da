"""`launcher backdoor PATH`: enter the debugging shell of a worker, for who has no socat at hand."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

from launcher.cli import client
from launcher.errors import ControlError, UsageError
from launcher.supervisor.log import open_missing_stdio

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher backdoor PATH"
STDIN, STDOUT = 0, 1


def main(argv: Sequence[str]) -> int:
    """Connect this terminal with a worker until either end is over; return the exit code."""
    open_missing_stdio()  # else the connection would have the number of stdin
    return client.run(_backdoor, argv, USAGE)


def _backdoor(words: list[str], _runtime_dir: str) -> int:
    if len(words) != 1:
        raise UsageError(f"takes the path of a worker's socket, as backdoor_socket has it; {USAGE}")
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.connect(words[0])
        except OSError as error:
            raise ControlError(f"{words[0]}: {_why(error)}; is backdoor_socket set, and the worker up?") from None
        try:
            _converse(door)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ControlError(f"stdin or stdout: {_why(error)}") from None
    return 0


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _converse(door: socket.socket) -> None:
    """Carry what is entered to the worker and what is said to us, whichever can go on: the worker waits for neither."""
    door.setblocking(False)
    entered, asks = b"", True
    while True:
        sources = [door.fileno(), STDIN] if asks and not entered else [door.fileno()]
        readable, writable, _ = select.select(sources, [door] if entered else [], [])
        if door.fileno() in readable:
            if not (said := _hear(door)):
                return
            os.write(STDOUT, said)
        elif writable:
            try:
                entered = entered[door.send(entered) :]
            except BrokenPipeError:  # what was said before is still to be heard
                entered, asks = b"", False
        elif not (entered := os.read(STDIN, 65536)):
            asks = False
            door.shutdown(socket.SHUT_WR)


def _hear(door: socket.socket) -> bytes:
    try:
        return door.recv(65536)
    except ConnectionResetError:  # it has gone without reading all of ours
        return b""
