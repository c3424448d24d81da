"""The launchers that a program calls itself, after oslo.service: `ServiceLauncher`, `ProcessLauncher`, `launch`.

`launcher run` keeps the supervisor and the application apart; here the program is both, and forks its
workers itself.  Both launchers catch signals from their construction on, so a TERM between that and
`wait()` is honoured.
"""

from __future__ import annotations

import faulthandler
import os
import traceback
from dataclasses import replace
from math import inf
from signal import Signals
from typing import TYPE_CHECKING, Any

from launcher import config
from launcher.errors import EXIT_SOFTWARE, LauncherError
from launcher.names import look_up
from launcher.service.services import Launcher, check_service
from launcher.service.signals import HANDLERS
from launcher.service.telling import Teller
from launcher.supervisor.loop import Loop
from launcher.supervisor.sharing import SharingReaper, adopts
from launcher.supervisor.signals import SignalInbox
from launcher.supervisor.spawn import ForkSpawner, Loaded
from launcher.supervisor.superior import Superior, reloading
from launcher.worker import backends
from launcher.worker import main as worker
from launcher.worker.application import Entry, Target
from launcher.worker.hooks import WorkerInfo
from launcher.worker.turns import Turns

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from launcher.service.backdoor import Door
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Ties
    from launcher.supervisor.state import Spawn

RESTART_METHODS = ("reload", "mutate")


def launch(
    conf: Any, service: Any, workers: int | None = 1, restart_method: str = "reload"
) -> ServiceLauncher | ProcessLauncher:
    """Run a service in this process, or with more than one worker in forked ones (oslo.service: the same).

    Raises `TypeError` and `ValueError` for a number of workers that makes no sense.
    """
    chosen: ServiceLauncher | ProcessLauncher
    if checked_workers(workers) == 1:
        chosen = ServiceLauncher(conf, restart_method)
        chosen.launch_service(service)
    else:
        chosen = ProcessLauncher(conf, restart_method)
        chosen.launch_service(service, workers)
    return chosen


def checked_workers(workers: int | None) -> int:
    """Return a number of workers, None is one.  Raises `TypeError` and `ValueError`."""
    if workers is None:
        return 1
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"workers must be a whole number, not {workers!r}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    return workers


def checked_method(restart_method: str) -> str:
    """Return it.  Raises `ValueError` for one that there is not."""
    if restart_method not in RESTART_METHODS:
        raise ValueError(f"restart_method must be one of {', '.join(RESTART_METHODS)}, not {restart_method!r}")
    return restart_method


class ServiceLauncher(Launcher):
    """Runs services in this process until TERM or INT (oslo.service: the same).

    HUP reloads the configuration and restarts the services; with `restart_method="mutate"` it mutates
    the configuration and calls their `reset()`.  A stop that takes longer than the option
    `graceful_shutdown_timeout` ends the process with exit code 1, its stacks on stderr.
    """

    def __init__(self, conf: Any, restart_method: str = "reload") -> None:
        self._mutate = checked_method(restart_method) == "mutate"
        self.conf = conf
        config.register(conf)
        self._read_settings()
        super().__init__(conf)
        orphans = (Signals.SIGCHLD,) if adopts() else ()
        caught = (Signals.SIGTERM, Signals.SIGINT, Signals.SIGHUP, worker.NUDGE, *orphans)
        self._limited = False
        self._inbox = SignalInbox(caught, self._limit_a_stop)
        self._reaper = SharingReaper((), self._reap_later)
        HANDLERS.attach(self._inbox)
        self._stopping = backends.current().event()
        self._reloads = Turns(self._reload)
        self._superior = Superior.of(os.environ)
        self._teller = Teller(self._superior)
        self._door = self._open_door()
        self._code = 0
        backends.current().spawn(worker.obey_signals, self._inbox, self._obey)
        self._reaper.reap()

    def wait(self) -> int:
        """Return when the services were stopped, by a signal or by `stop()`, and are done.

        The result is 0, or 1 if a service could not be started again by a reload.
        """
        self._say_ready()
        backends.current().spawn(self._stop_when_told)
        if self._superior.patience < inf:
            backends.current().spawn(self._live)
        super().wait()
        faulthandler.cancel_dump_traceback_later()
        if self._door is not None:
            self._door.close()
        return self._code

    def _open_door(self) -> Door | None:
        if not self._backdoor_socket:
            return None
        from launcher.service.backdoor import Door

        names = {"conf": self.conf, "services": self.services.services}
        return Door(self._backdoor_socket, worker=0, service=type(self).__name__, names=names)

    def restart(self) -> None:
        """Do what HUP does."""
        self._take_up()

    def _say_ready(self) -> None:
        if not self._stopping.is_set():
            self._teller.ready()

    def _live(self) -> None:
        while not self._stopping.wait(self._superior.patience / 2):
            self._teller.alive()

    def _stop_when_told(self) -> None:
        self._stopping.wait()
        self._teller.tell("STOPPING=1")
        self._limit_a_stop(Signals.SIGTERM)
        self.stop()

    def _limit_a_stop(self, signum: int) -> None:
        """In the handler, so that it holds where the services never yield."""
        if signum in {Signals.SIGTERM, Signals.SIGINT} and self._patience < inf and not self._limited:
            self._limited = True
            faulthandler.dump_traceback_later(max(self._patience, 0.001), exit=True)

    def _obey(self, signum: int) -> None:
        if signum == Signals.SIGHUP:
            self._reloads.ask()
        elif signum == Signals.SIGINT and self._stopping.is_set():
            os._exit(128 + signum)
        elif signum in (Signals.SIGTERM, Signals.SIGINT):
            self._stopping.set()
        elif signum == Signals.SIGCHLD:
            self._reaper.reap()
        HANDLERS.arrived(signum)

    def _reap_later(self, seconds: float) -> None:
        backends.current().spawn(self._reap_after, seconds)

    def _reap_after(self, seconds: float) -> None:
        backends.current().sleep(seconds)
        self._reaper.reap()

    def _reload(self) -> None:
        if self._stopping.is_set():
            return
        self._teller.tell(reloading())
        try:
            self._take_up()
        finally:  # the services go on, whatever it was
            self._say_ready()

    def _take_up(self) -> None:
        if self._mutate:
            self.conf.mutate_config_files()
        else:
            self.conf.reload_config_files()
        backends.current().guard(self._read_settings)
        if self._mutate:
            self.services.reset()
        else:
            self._restart_services()

    def _restart_services(self) -> None:
        try:
            self.services.restart()
        except Exception:  # noqa: BLE001 - the border to the application: without its service this process is of no use
            traceback.print_exc()
            self._fail(1)

    def _fail(self, code: int) -> None:
        """Stop; `wait()` returns this exit code."""
        self._code = code
        self._stopping.set()

    def _read_settings(self) -> None:
        settings = self._settings()
        self._patience = settings.policy.graceful_shutdown_timeout
        self._backdoor_socket = settings.backdoor_socket
        backends.select(self.conf.launcher.backend)

    def _settings(self) -> Settings:
        return config.settings(self.conf, ())


class ServiceWrapper:
    """A service of a `ProcessLauncher`, and its workers (oslo.service: the same)."""

    def __init__(self, service: Any, workers: int, name: str, loop: Loop) -> None:
        self.service = service
        self.workers = workers
        self.name = name
        self._loop = loop

    @property
    def children(self) -> set[int]:
        """The PIDs of its workers."""
        children = self._loop.core.children.values()
        return {child.pid for child in children if child.slot.service and child.slot.service.name == self.name}

    @property
    def forktimes(self) -> list[float]:
        """When its last workers were forked, on the monotonic clock; one more than `workers` at most."""
        service = self._loop.core.services.get(self.name)
        return list(service.forktimes) if service else []


class ProcessLauncher:
    """Forks and supervises the workers of services (oslo.service: the same).

    Parameters: the application's configuration, on which the options of group `[launcher]` are
    registered and read; `restart_method`, what HUP does: `reload` replaces the workers one by one by
    new ones, forked after `reload_config_files()` and the services' `reset()` in this process;
    `mutate` mutates the configuration and calls `reset()` in this process, and by HUP in the workers.
    """

    def __init__(self, conf: Any, restart_method: str = "reload") -> None:
        self.conf = conf
        self._method = checked_method(restart_method)
        self._wrappers: dict[str, ServiceWrapper] = {}
        config.register(conf)
        self._tls = config.tls(conf)
        self._loop = Loop(self._settings(), SharingReaper)
        self._loop.sleep = backends.current().wait_readable
        self._ties: Ties = self._loop.ties()
        HANDLERS.attach(None)  # here signals are the loop's
        backends.current().complete()
        self._loop.spawner = ForkSpawner(self._run, self._prologue, self._load, self._mutate)
        self._code = 0
        self._begun = False
        self._over = backends.current().event()

    @property
    def children(self) -> dict[int, ServiceWrapper]:
        """The workers by PID."""
        return {pid: wrapper for wrapper in self._wrappers.values() for pid in wrapper.children}

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Fork the workers of a service; may be called several times before `wait()`.

        Raises `TypeError`, `ValueError`, and `ConfigError` for an address that cannot be had.
        """
        check_service(service)
        name = f"{type(service).__name__}-{len(self._wrappers)}" if self._wrappers else type(service).__name__
        self._wrappers[name] = ServiceWrapper(service, checked_workers(workers), name, self._loop)
        try:
            settings = self._settings()
            self._loop.listeners.bind(settings.listen)
        except LauncherError:
            del self._wrappers[name]
            raise
        if len(self._wrappers) > 1:
            self._loop.generations.extend(settings)
        self._loop.act()

    def wait(self) -> int:
        """Supervise until a signal or `stop()` has ended all workers; return the exit code."""
        return self._supervise()

    def stop(self) -> None:
        """Stop all workers gracefully and return when they are gone.  Any thread may call it, also during `wait()`."""
        if not self._over.is_set():
            self._loop.stop()
        self._supervise()

    def _supervise(self) -> int:
        """Run the loop, or wait for who runs it already."""
        mine, self._begun = not self._begun, True
        if mine:
            try:
                self._code = self._loop.run()
            except BaseException:  # a green thread that is killed must not leave its workers alone
                self._loop.stop()
                self._code = self._loop.run()
                raise
            finally:
                self._loop.close()
                self._over.set()
        self._over.wait()
        return self._code

    def _settings(self) -> Settings:
        entries = [_entry(wrapper) for wrapper in self._wrappers.values()]
        settings = look_up(config.settings(self.conf, entries, self._tls))
        backends.select(self.conf.launcher.backend)
        return replace(settings, reset_on_hup=settings.reset_on_hup or self._method == "mutate")

    def _load(self, generation: int) -> None:
        """Take up a generation in this process: the first is here already, a reload reads anew."""
        try:
            if generation > 1:
                self.conf.reload_config_files()
                for wrapper in self._wrappers.values():
                    wrapper.service.reset()
                self._tls = config.tls(self.conf)
            loaded = Loaded(self._settings())
        except LauncherError as error:
            loaded = Loaded(code=error.exit_code, reason=str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the border to the application: its reset() must not end us
            traceback.print_exc()
            loaded = Loaded(code=EXIT_SOFTWARE, reason=f"{type(error).__name__}: {error}")
        self._loop.generations.loaded(generation, loaded)

    def _mutate(self) -> None:
        """Take up a changed configuration in this process: workers that are forked from now on begin with it."""
        backends.current().guard(self.conf.mutate_config_files)
        for wrapper in self._wrappers.values():
            backends.current().guard(wrapper.service.reset)

    def _prologue(self, keep: Sequence[socket.socket]) -> None:
        self._loop.close_in_child(keep)
        worker.forget_handlers()

    def _run(self, spawn: Spawn, listeners: Sequence[socket.socket]) -> int:
        service = self._wrappers[spawn.service].service
        who = WorkerInfo(spawn.service, spawn.slot, spawn.generation)
        given = worker.Given(who, [listener.detach() for listener in listeners], tls=self._tls)
        settings = replace(self._loop.generations.settings[spawn.generation], reset_on_hup=False)  # we have, before it
        return worker.run(lambda: self._hosted(service), self.conf, settings, self._ties.of(spawn), given)

    def _hosted(self, service: Any) -> Any:
        """Return what a worker runs for a service: the service itself."""
        return service


def _entry(wrapper: ServiceWrapper) -> Entry:
    service = wrapper.service
    cls = type(service)
    target = Target(wrapper.name, cls.__module__, cls.__qualname__, wrapper.workers, "launch_service()")
    return Entry(target, bool(getattr(service, "wants_socket", False)), lambda _conf: service, made_anew=False)
