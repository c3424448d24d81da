"""Which of our backends a program runs on, in oslo.service's words.

oslo.service has a set of classes for each; here they are the same ones, on the backend that the process has chosen
(`launcher.worker.backends`).  As there, importing `oslo_service.service` chooses the default one if none was chosen.
"""

from __future__ import annotations

import logging
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher.oslo.backend import exceptions
from launcher.oslo.backend.base import BaseBackend
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BackendType",
    "exceptions",
    "get_backend",
    "get_backend_type",
    "get_component",
    "init_backend",
    "register_backend_default_hook",
]

LOG = logging.getLogger(__name__)

COMPONENTS = {
    "launcher.oslo.service": (
        *("ServiceBase", "ServiceLauncher", "Launcher", "ProcessLauncher", "Service", "Services", "ServiceWrapper"),
        *("SignalHandler", "SignalExit", "Singleton", "launch", "_is_daemon", "_is_sighup_and_daemon"),
    ),
    "launcher.oslo.loopingcall": (
        *("LoopingCallBase", "LoopingCallDone", "LoopingCallTimeOut", "FixedIntervalLoopingCall"),
        *("FixedIntervalWithTimeoutLoopingCall", "DynamicLoopingCall", "BackOffLoopingCall", "RetryDecorator"),
    ),
    "launcher.oslo.threadgroup": ("ThreadGroup", "Thread"),
}


class BackendType(Enum):
    """The backends that there are."""

    EVENTLET = "eventlet"
    THREADING = "threading"


DEFAULT_BACKEND_TYPE = BackendType.EVENTLET


class _Backend(BaseBackend):
    def get_service_components(self) -> dict[str, Any]:
        """Return oslo.service's names with what stands behind them here."""
        return {name: getattr(import_module(home), name) for home, names in COMPONENTS.items() for name in names}


class EventletBackend(_Backend):
    """Green threads."""


class ThreadingBackend(_Backend):
    """Native threads."""


_BACKENDS: dict[BackendType, type[_Backend]] = {
    BackendType.EVENTLET: EventletBackend,
    BackendType.THREADING: ThreadingBackend,
}
_cached_backend_type: BackendType | None = None
_cached_backend: BaseBackend | None = None
_backend_hook: Callable[[], BackendType] | None = None


def register_backend_default_hook(hook: Callable[[], BackendType]) -> None:
    """Have `hook` name the backend if nobody else has by the time that one is needed."""
    global _backend_hook  # noqa: PLW0603 - a process has one
    _backend_hook = hook


def _reset_backend() -> None:
    """Forget the choice, for tests."""
    global _backend_hook, _cached_backend, _cached_backend_type  # noqa: PLW0603
    _backend_hook = _cached_backend = _cached_backend_type = None
    backends.deselect()


def init_backend(type_: BackendType) -> None:
    """Choose the backend.  Raises `BackendAlreadySelected` if it is another one already."""
    global _cached_backend, _cached_backend_type
    if _cached_backend_type is None:
        backends.select(type_.value)
        _cached_backend, _cached_backend_type = _BACKENDS[type_](), type_
        LOG.info("Backend %r chosen.", type_.value)
    elif _cached_backend_type is not type_:
        raise exceptions.BackendAlreadySelected(
            f"Backend already set to {_cached_backend_type.value!r}, cannot reinitialize with {type_.value!r}"
        )


def get_backend() -> BaseBackend:
    """Return the backend; if none was chosen, the hook's or the default one is from now on."""
    if _cached_backend is None:
        init_backend(_default())
    assert _cached_backend is not None  # noqa: S101 - for mypy
    return _cached_backend


def _default() -> BackendType:
    if _backend_hook is not None:
        try:
            return _backend_hook()
        except Exception:  # the border to the application
            LOG.exception("The hook that names the backend has failed; it is the default one.")
    return DEFAULT_BACKEND_TYPE


def get_backend_type() -> BackendType | None:
    """Return which backend was chosen, None if none was."""
    return _cached_backend_type


def get_component(name: str) -> Any:
    """Return what stands behind a name.  Raises `KeyError`."""
    get_backend()
    for home, names in COMPONENTS.items():
        if name in names:
            return getattr(import_module(home), name)
    raise KeyError(f"Component {name!r} not found in backend.")
