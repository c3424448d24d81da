"""How reloads end, and who waits to hear of it.

As many may wait as like, and still they are few: each asks for a generation of its own, and a newer one
ends the waiting for all older ones but that which is being rolled out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.supervisor.clients import Client


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the reload to a generation has ended; `error` is empty if it is in force and ready."""

    generation: int
    error: str


class Reloads:
    """The clients that wait for a generation, and the outcome of the last reload that is over."""

    def __init__(self) -> None:
        self.last: Outcome | None = None
        self._waiting: dict[int, Client] = {}

    def wait(self, generation: int, client: Client) -> None:
        """Let the client that has asked for this generation hear how that ends."""
        self._waiting[generation] = client

    def ended(self, generation: int, error: str) -> None:
        """Tell whoever waits."""
        self.last = Outcome(generation, error)
        client = self._waiting.pop(generation, None)
        if client is not None:
            client.reply({"generation": generation, **({"error": error} if error else {"ok": True})})
