"""What an application imports.

Every name is imported when it is first used, because PID 1 imports this package too and must stay
small: `import launcher` alone imports nothing else, not even `typing`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.launchers import ProcessLauncher, ServiceLauncher, launch
    from launcher.service.base import Service, ServiceBase
    from launcher.service.identity import worker_id
    from launcher.service.periodic import periodic
    from launcher.service.quota import served
    from launcher.service.readiness import ready
    from launcher.service.schedules import BackOff, Dynamic, Every, TimedOutError
    from launcher.service.services import Launcher, Services
    from launcher.service.signals import on_signal
    from launcher.service.threadgroup import ThreadGroup
    from launcher.service.timers import Timer, TimerDone
    from launcher.service.tls import TLS
    from launcher.service.wsgi import WSGIService

__version__ = "0.1.0"

__all__ = [
    "TLS",
    "BackOff",
    "Dynamic",
    "Every",
    "Launcher",
    "ProcessLauncher",
    "Service",
    "ServiceBase",
    "ServiceLauncher",
    "Services",
    "ThreadGroup",
    "TimedOutError",
    "Timer",
    "TimerDone",
    "WSGIService",
    "__version__",
    "launch",
    "on_signal",
    "periodic",
    "ready",
    "served",
    "worker_id",
]

_HOMES = {
    "BackOff": "launcher.service.schedules",
    "Dynamic": "launcher.service.schedules",
    "Every": "launcher.service.schedules",
    "TLS": "launcher.service.tls",
    "Launcher": "launcher.service.services",
    "ProcessLauncher": "launcher.launchers",
    "Service": "launcher.service.base",
    "ServiceBase": "launcher.service.base",
    "ServiceLauncher": "launcher.launchers",
    "Services": "launcher.service.services",
    "ThreadGroup": "launcher.service.threadgroup",
    "TimedOutError": "launcher.service.schedules",
    "Timer": "launcher.service.timers",
    "TimerDone": "launcher.service.timers",
    "WSGIService": "launcher.service.wsgi",
    "launch": "launcher.launchers",
    "on_signal": "launcher.service.signals",
    "periodic": "launcher.service.periodic",
    "ready": "launcher.service.readiness",
    "served": "launcher.service.quota",
    "worker_id": "launcher.service.identity",
}


def __getattr__(name: str) -> object:
    """Import what is asked for; afterwards it is an ordinary name of this module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names that were not used yet as well."""
    return sorted({*globals(), *_HOMES})
