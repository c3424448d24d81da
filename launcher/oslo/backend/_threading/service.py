"""Services on native threads (oslo.service: the same)."""

from __future__ import annotations

from launcher.oslo.service import (
    Launcher,
    ProcessLauncher,
    Service,
    ServiceBase,
    ServiceLauncher,
    Services,
    ServiceWrapper,
    SignalHandler,
    launch,
)

__all__ = [
    "Launcher",
    "ProcessLauncher",
    "Service",
    "ServiceBase",
    "ServiceLauncher",
    "ServiceWrapper",
    "Services",
    "SignalHandler",
    "launch",
]
