"""What clients of the control socket ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.supervisor.status import is_ready, status

if TYPE_CHECKING:
    from launcher.supervisor.core import Core


class Requests:
    """Answers requests."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a request."""
        match request.get("command"):
            case "live":
                return {"ok": True}
            case "ready":
                return {"ok": is_ready(self._core)}
            case "status":
                return {"ok": True, **status(self._core)}
            case _:
                return {"error": "unknown command; use live, ready or status"}
