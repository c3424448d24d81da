"""The state of the supervisor: as plain values for machines, as lines for people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.supervisor.wording import title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.supervisor.core import Core
    from launcher.supervisor.state import Child, Service


def is_ready(core: Core) -> bool:
    """Whether every service that is to has a worker that serves, and nobody has asked for the end."""
    services = core.services.values()
    return not core.stopping and bool(services) and all(each.ready or each.idle for each in services)


def status(core: Core) -> dict[str, Any]:
    """Return everything, in values that JSON has."""
    children = core.children.values()
    return {
        "pid": os.getpid(),
        "stopping": core.stopping,
        "services": {service.name: _of_service(service) for service in core.services.values()},
        "workers": [_of_worker(child, child.slot.service) for child in children if child.slot.service],
        "molds": [child.pid for child in children if child.slot.service is None],
    }


def report(core: Core, now: float) -> Iterator[str]:
    """Yield a line a service and a child."""
    for service in core.services.values():
        counts = f"{service.ready} ready of {service.target}, generation {service.version.generation}"
        yield f"state: {service.name}: {counts}, {service.failures} failures in a row"
    for child in core.children.values():
        yield f"state: {title(child)}: {child.stage.name.lower()} for {now - child.since:.1f} s"


def _of_service(service: Service) -> dict[str, Any]:
    return {"target": service.target, "ready": service.ready, "generation": service.version.generation}


def _of_worker(child: Child, service: Service) -> dict[str, Any]:
    return {
        "pid": child.pid,
        "service": service.name,
        "slot": child.slot.index,
        "generation": child.generation,
        "stage": child.stage.name.lower(),
    }
