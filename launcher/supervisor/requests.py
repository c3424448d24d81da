"""What clients of the control socket ask for (README, Commands)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from launcher.supervisor.clients import Client, Reply
    from launcher.supervisor.core import Core
    from launcher.supervisor.orders import Orders
    from launcher.supervisor.reloads import Reloads
    from launcher.supervisor.status import Status

WORKERS_MAX = 10_000  # the most that the configuration allows


class Requests:
    """Answers requests."""

    def __init__(self, core: Core, orders: Orders, reloads: Reloads, status: Status) -> None:
        self._core, self._orders, self._reloads, self._status = core, orders, reloads, status

    def answer(self, request: dict[str, Any], client: Client) -> Reply | None:
        """Return the reply to a request, or None if the client is to wait for it."""
        reply: Reply | None
        match request:
            case {"command": "live"}:
                reply = {"ok": True}
            case {"command": "ready"}:
                reply = {"ok": self._status.is_ready()}
            case {"command": "status"}:
                reply = {"ok": True, **self._status.values()}
            case {"command": "stop"}:
                self._orders.stop()
                reply = {"ok": True}
            case {"command": "scale" | "reload"} if self._core.stopping:
                reply = {"error": "it is stopping"}
            case {"command": "scale", "service": str(name), "workers": int(workers)} if not isinstance(workers, bool):
                reply = self._scale(name, workers)
            case {"command": "scale"}:
                reply = {"error": "scale takes service, a name, and workers, a number"}
            case {"command": "reload"}:
                reply = self._reload(client if request.get("wait") is True else None)
            case _:
                reply = {"error": "unknown command; use live, ready, status, scale, reload or stop"}
        return reply

    def _scale(self, name: str, workers: int) -> Reply:
        service = self._core.services.get(name)
        if service is None:
            return {"error": f"no service {name}", "services": list(self._core.services)}
        if not service.version.workers:
            return {"error": f"{name} was dropped by a reload: it has no workers until another one brings it back"}
        if not 0 <= workers <= WORKERS_MAX:
            return {"error": f"{workers} workers: must be a number from 0 to {WORKERS_MAX}"}
        self._orders.scale(name, workers)
        return {"ok": True, "workers": service.target, "reloading": self._status.reloading()}

    def _reload(self, waits: Client | None) -> Reply | None:
        generation = self._orders.reload()
        if generation is None or waits is None:
            return {"ok": True, "generation": generation}
        self._reloads.wait(generation, waits)
        return None
