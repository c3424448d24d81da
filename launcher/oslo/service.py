"""`oslo_service.service`: launching services, over `launcher.launchers` and `launcher.service`.

What is oslo.service's own is put on top here: the service's `start()` runs in a thread of its own (green or native), so
that one which never returns holds up nobody; one that fails ends the process with 1; `wait()` of a service is called
as soon as it is started; options of group DEFAULT.  Supervision, signals and reloads are ours: docs/oslo.md has what
differs.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher import config, launchers
from launcher.errors import ConfigError
from launcher.launchers import ServiceWrapper, checked_method, checked_workers
from launcher.options import GROUP
from launcher.oslo import _options, backend, opts
from launcher.oslo._daemon import is_daemon as _is_daemon
from launcher.oslo._daemon import is_sighup_and_daemon as _is_sighup_and_daemon
from launcher.oslo._signals import SignalExit, SignalHandler, Singleton
from launcher.oslo.backend.base import ServiceBase
from launcher.oslo.threadgroup import ThreadGroup
from launcher.service import base, readiness, services, threadgroup
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable

    from oslo_config import cfg

    from launcher.service.threads import Thread
    from launcher.supervisor.settings import Settings

__all__ = [
    "Launcher",
    "ProcessLauncher",
    "Service",
    "ServiceBase",
    "ServiceLauncher",
    "ServiceWrapper",
    "Services",
    "SignalExit",
    "SignalHandler",
    "Singleton",
    "_is_daemon",
    "_is_sighup_and_daemon",
    "launch",
    "list_opts",
]

LOG = logging.getLogger(__name__)
START_METHODS = (None, "fork", "spawn")
FAILED_TO_START = 1
FAILED_LATER = 2
stopped = threading.Event()
"""Whether a launcher of this process has come to its end."""

backend.get_backend()  # oslo.service's, too, is chosen by this import at the latest


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options for `oslo-config-generator`."""
    return [(None, deepcopy([*_options.eventlet_backdoor_opts, *_options.service_opts]))]


def launch(
    conf: Any,
    service: Any,
    workers: int | None = 1,
    restart_method: str = "reload",
    no_fork: bool = False,
    start_method: str | None = None,
) -> ServiceLauncher | ProcessLauncher:
    """Run a service in this process, or with more than one worker in forked ones.

    `no_fork` means this process on the threading backend, and nothing on eventlet, as there.
    Raises `TypeError` and `ValueError` for a number of workers that makes no sense.
    """
    chosen: ServiceLauncher | ProcessLauncher
    if checked_workers(workers) == 1 or (no_fork and backends.has_threads()):
        chosen = ServiceLauncher(conf, restart_method=restart_method, start_method=start_method)
        chosen.launch_service(service, workers=workers and 1)
    else:
        chosen = ProcessLauncher(conf, restart_method=restart_method, start_method=start_method)
        chosen.launch_service(service, workers=workers)
    return chosen


class Service(base.Service):
    """A service that runs threads and timers in its group `tg`; pickled, it has a new one."""

    tg: ThreadGroup  # type: ignore[assignment]

    def __init__(self, threads: int = 1000) -> None:
        self.tg = ThreadGroup(threads)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what no other process can have."""
        return {**vars(self), "tg": self.tg.thread_pool_size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a new group."""
        vars(self).update(state, tg=ThreadGroup(state["tg"]))

    def stop(self, graceful: bool = False) -> None:
        """End the timers and the threads; let what is under way finish if `graceful`."""
        super().stop(graceful)


class Services(services.Services):
    """Services in this process, each started in a thread of its own.

    `on_failure` is called with an exit code when one cannot be started.
    """

    def __init__(self, restart_method: str = "reload") -> None:
        self.restart_method = checked_method(restart_method)
        self.tg = threadgroup.ThreadGroup()
        self.on_failure: Callable[[int], object] = sys.exit
        self._starts: dict[int, Thread] = {}
        super().__init__()

    def restart(self) -> None:
        """Reset the services; unless the method is `mutate`, they are stopped before and started after."""
        if self.restart_method == "mutate":
            self.reset()
        else:
            super().restart()

    def wait_started(self) -> None:
        """Return when every `start()` has."""
        self.tg.wait()

    @staticmethod
    def run_service(service: Any, done: backends.Event) -> None:
        """Start a service and return when `done` is set.  Raises `SystemExit` if it cannot be started."""
        _start(service)
        done.wait()

    def _start(self, service: Any) -> None:
        self._starts[id(service)] = self.tg.add_thread(self._run, service)

    def _run(self, service: Any) -> None:
        try:
            _start(service)
        except SystemExit as end:
            self.on_failure(_code(end))

    def _end(self, service: Any) -> None:
        start = self._starts[id(service)]
        has_started = start.join(0)
        super()._end(service)
        start.stop()  # which has not returned will not any more
        if not has_started and isinstance(service, base.Service):
            service.tg.stop_timers()  # which it has begun meanwhile, and nobody would end


def _start(service: Any) -> None:
    try:
        service.start()
    except Exception:  # the border to the application
        LOG.exception("%s could not be started", type(service).__qualname__)
        raise SystemExit(FAILED_TO_START) from None


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(end.code is not None)


class Launcher(services.Launcher):
    """Runs services in this process, without signals and without workers."""

    services: Services

    def __init__(self, conf: Any, restart_method: str = "reload") -> None:
        self.restart_method = checked_method(restart_method)
        opts.register_service_opts(conf)
        super().__init__(conf)
        self.backdoor_port = _backdoor(conf)

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Start a service here, beside the caller.

        Raises `ValueError` for more than one worker, and `TypeError` for what is no `ServiceBase`.
        """
        _check(service)
        super().launch_service(service, workers)

    def restart(self) -> None:
        """Read the configuration anew and restart the services."""
        if self.restart_method == "mutate":
            self.conf.mutate_config_files()
        else:
            self.conf.reload_config_files()
        self.services.restart()

    def _make_services(self) -> Services:
        return Services(self.restart_method)


class ServiceLauncher(launchers.ServiceLauncher, Launcher):
    """Runs services in this process until it is told to stop by TERM or INT."""

    def __init__(self, conf: Any, restart_method: str = "reload", start_method: str | None = None) -> None:
        _check_start_method(start_method)
        self.restart_method = checked_method(restart_method)
        opts.register_service_opts(conf)
        super().__init__(conf, restart_method)
        self.signal_handler = SignalHandler()
        self.services.on_failure = self._fail

    def wait(self) -> int:
        """Return 0 when the services were stopped and are done.

        Raises `SystemExit` if one could not be started: a program that drops this result must not end with 0.
        """
        _log_options(self.conf)
        code = super().wait()
        stopped.set()
        if code:
            raise SystemExit(code)
        return 0

    def _say_ready(self) -> None:
        backends.current().spawn(self._say_ready_when_started)

    def _say_ready_when_started(self) -> None:
        self.services.wait_started()
        super()._say_ready()

    def _settings(self) -> Settings:
        _adopt_options(self.conf)
        return super()._settings()

    def _make_services(self) -> Services:
        return Services(self.restart_method)


class ProcessLauncher(launchers.ProcessLauncher):
    """Forks and supervises the workers of services.  `wait_interval` is not needed: nothing polls here."""

    def __init__(
        self,
        conf: Any,
        wait_interval: float | None = 0.01,
        restart_method: str = "reload",
        start_method: str | None = None,
    ) -> None:
        _check_start_method(start_method)
        self.wait_interval = wait_interval
        self.restart_method = checked_method(restart_method)
        opts.register_service_opts(conf)
        super().__init__(conf, restart_method)
        self.signal_handler = SignalHandler()

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Fork the workers of a service.  Raises `TypeError` for what is no `ServiceBase`."""
        _check(service)
        super().launch_service(service, workers)

    def wait(self) -> int:
        """Return 0 when a signal or `stop()` has ended all workers.

        Raises `SystemExit` if that was no clean end: a program that drops this result must not end with 0.
        """
        _log_options(self.conf)
        code = super().wait()
        stopped.set()
        if code:
            raise SystemExit(code)
        return 0

    def _settings(self) -> Settings:
        _adopt_options(self.conf)
        settings = super()._settings()
        # As there, a start() may take as long as it likes; one that has not returned by then counts as ready.
        patience = settings.policy.startup_timeout
        return replace(settings, services=tuple(replace(each, ready_after=patience) for each in settings.services))

    def _hosted(self, service: Any) -> Any:
        return _Hosted(self.conf, self.restart_method, service)


class _Hosted(ServiceBase):
    """A service in a worker, run by a `Launcher` of its own there.

    A service that fails ends the worker: with 1 in its `start()`, with 2 in its `wait()`.
    """

    announces_ready = True

    def __init__(self, conf: Any, restart_method: str, service: Any) -> None:
        self._conf, self._restart_method, self._service = conf, restart_method, service
        self._code = 0
        self._waiting: backends.Task | None = None

    def start(self) -> None:
        """Begin to start it."""
        self._launcher = Launcher(self._conf, self._restart_method)
        self._launcher.services.on_failure = self._fail
        self._launcher.launch_service(self._service)
        self._waiting = backends.current().spawn(self._wait)

    def stop(self) -> None:
        """Stop it."""
        self._launcher.stop()

    def wait(self) -> None:
        """Return when it is done.  Raises `SystemExit` if it has failed."""
        code = self._code_of(self._launcher.wait)
        if self._code or code:
            raise SystemExit(self._code or code)

    def reset(self) -> None:
        """Reset it, or restart it here; the worker has taken up a changed configuration."""
        if self._restart_method == "mutate":
            self._launcher.services.reset()
        else:
            self._launcher.restart()
        if self._waiting is not None:
            self._waiting.kill()
        self._waiting = backends.current().spawn(self._wait)

    def _wait(self) -> None:
        self._launcher.services.wait_started()
        if self._code:
            return
        readiness.ready()
        if code := self._code_of(self._service.wait):
            self._fail(code)

    def _code_of(self, wait: Callable[[], object]) -> int:
        try:
            wait()
        except SystemExit as end:
            return _code(end)
        except Exception:  # the border to the application
            LOG.exception("%s has failed", type(self._service).__qualname__)
            return FAILED_LATER
        return 0

    def _fail(self, code: int) -> None:
        """End this worker as everybody else does: by TERM."""
        self._code = code
        os.kill(os.getpid(), signal.SIGTERM)


def _backdoor(conf: Any) -> Any:
    if backends.has_threads():
        return None
    from launcher.oslo import eventlet_backdoor  # imports eventlet

    return eventlet_backdoor.initialize_if_enabled(conf)


def _check(service: Any) -> None:
    if not isinstance(service, ServiceBase):
        raise TypeError(f"Service {service!r} must be an instance of {ServiceBase!r}!")


def _check_start_method(start_method: str | None) -> None:
    if start_method not in START_METHODS:
        raise ValueError(f"Invalid start_method {start_method!r}; expected 'fork' or 'spawn'")
    if start_method == "spawn":
        LOG.warning("start_method='spawn': workers are forked all the same")


def _adopt_options(conf: Any) -> None:
    """Have our options say what oslo.service's do, unless they are set themselves."""
    config.register(conf)
    conf.set_default("backend", backends.current().name, GROUP)
    timeout = conf.graceful_shutdown_timeout
    try:
        conf.set_default("graceful_shutdown_timeout", timeout, GROUP)
    except ValueError:
        raise ConfigError(f"graceful_shutdown_timeout = {timeout}: must be 0 or more seconds") from None


def _log_options(conf: Any) -> None:
    if conf.log_options:
        conf.log_opt_values(LOG, logging.DEBUG)
