"""The channels by which a worker is asked to fork a copy of itself that becomes the mold (remolding.py).

Guarantees: only workers that may be asked have one, and nobody waits for them; a copy that came too late finds its
channel closed, and ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket

    from launcher.supervisor.state import Remold, Spawn


class Copies:
    """Our ends of the channels, to the workers and to the molds that copies of them are to become."""

    def __init__(self) -> None:
        self._workers: dict[int, socket.socket] = {}  # by their seats
        self._molds: dict[int, socket.socket] = {}  # by their generations

    def expect(self, spawn: Spawn) -> list[socket.socket]:
        """Return what a worker is given so that it can be asked: nothing, or its end of a channel.  Raises OSError."""
        self.worker_ended(spawn.seat)
        if not spawn.seasons:
            return []
        self._workers[spawn.seat], theirs = _pair()
        return [theirs]

    def ask(self, remold: Remold) -> None:
        """Ask a worker for a copy, and give it the mold's end of a new channel.  Raises OSError."""
        worker = self._workers.get(remold.seat)
        if worker is None:
            raise BrokenPipeError("it has no channel")
        self.forget(remold.generation)
        ours, theirs = _pair()
        self._molds[remold.generation] = ours
        with theirs:
            unpatched("socket").send_fds(worker, [json.dumps(asdict(remold)).encode()], [theirs.fileno()])

    def take(self, generation: int) -> socket.socket | None:
        """Return the channel of a mold that is ready; the caller's from now on."""
        return self._molds.pop(generation, None)

    def worker_ended(self, seat: int) -> None:
        """The worker that had this seat is gone."""
        if (channel := self._workers.pop(seat, None)) is not None:
            channel.close()

    def forget(self, generation: int) -> None:
        """No copy is awaited any more."""
        if (channel := self.take(generation)) is not None:
            channel.close()

    def close_in_child(self) -> None:
        """In a forked process: all of it is the supervisor's alone."""
        for channel in (*self._workers.values(), *self._molds.values()):
            channel.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    sockets = unpatched("socket")
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
