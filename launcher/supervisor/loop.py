"""The loop: tells the core what happened, does what it asks, and otherwise sleeps in one epoll_wait.

Guarantees: one thread; with nothing due it makes no system call.  Order matters in `_turn`: the
signals are taken first, for a CHLD that is taken after the dead were collected would be lost; then the
dead are collected, then everything they said is heard, and only then are their ends told, so no news
comes after its sender is gone.
"""

from __future__ import annotations

import os
from math import inf
from signal import Signals
from time import monotonic
from typing import TYPE_CHECKING, Any

from launcher.errors import EXIT_CONFIG, ConfigError
from launcher.supervisor import signals, termination_log
from launcher.supervisor.control import ControlSocket
from launcher.supervisor.core import Core, exit_code
from launcher.supervisor.log import Log
from launcher.supervisor.notices import Born, ForkFailed, NoticePipe, Ready
from launcher.supervisor.reaper import reap
from launcher.supervisor.sockets import Listeners
from launcher.supervisor.spawn import Ties
from launcher.supervisor.state import CloseListeners, Finish, Kill, Prepare, Spawn, Tell
from launcher.supervisor.unpatched import unpatched

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Loaded, Spawner
    from launcher.supervisor.state import Action, Child, Service

EPOLLIN = 1


class Loop:
    """The supervisor of one process tree.

    It catches signals from its construction on.  A spawner is to be set before `run`.
    """

    spawner: Spawner

    def __init__(self, settings: Settings) -> None:
        self.core = Core(settings.policy)
        self.log = Log(settings.log_level, settings.log_format)
        self.listeners = Listeners()
        self.settings: dict[int, Settings] = {}
        self._serving: set[tuple[int, str]] = set()
        self._reset_on_hup = settings.reset_on_hup
        self._termination_log = settings.termination_log
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = unpatched("select").epoll()
        self._notices = NoticePipe()
        self._lifeline = os.pipe2(os.O_CLOEXEC)
        self._inbox = signals.SignalInbox(signals.HANDLED)
        self._control = ControlSocket(self._answer, self.watch, self.unwatch)
        self._control_opened = False
        self._finish: Finish | None = None
        # Their contents are read in every turn, whatever woke it.
        for fd in (self._inbox.fd, self._notices.fd):
            self.watch(fd, _nothing)

    # For spawners

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call when `fd` is readable."""
        self._watched[fd] = call
        self._epoll.register(fd, EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def ties(self) -> Ties:
        """What a forked process is bound to us with."""
        return Ties(os.getpid(), self._notices.write_fd, self._lifeline[0])

    def close_in_child(self, keep: Sequence[socket.socket]) -> None:
        """In a forked process: close what is ours alone, all sockets but those to keep, and give the signals back."""
        self._inbox.close()
        self.log.close()
        self.listeners.close_in_child(keep)
        self._epoll.close()
        self._control.close_in_child()
        os.close(self._notices.fd)
        os.close(self._lifeline[1])

    def loaded(self, generation: int, loaded: Loaded) -> None:
        """A mold has loaded a generation, or says why not."""
        if loaded.startup_timeout is not None:
            self.core.loading(generation, loaded.startup_timeout)
            return
        if loaded.settings is None:
            self._prepare_failed(generation, loaded.code, loaded.reason)
            return
        if generation not in self.settings:  # else its mold was replaced: what it first said holds
            try:
                self.listeners.bind(loaded.settings.listen)
            except ConfigError as error:
                self.spawner.forget(generation)  # its mold ends
                self._prepare_failed(generation, EXIT_CONFIG, str(error))
                return
            self._apply(generation, loaded.settings)
            self._tell("info", "\n".join(self.listeners.chosen()))
        settings = self.settings[generation]
        if missing := _names(settings) - _names(loaded.settings):
            changed = "the configuration has changed since and has no service"
            self._prepare_failed(generation, EXIT_CONFIG, f"{changed} {', '.join(sorted(missing))}: HUP takes it up")
            return
        self.core.prepared(generation, settings.services, settings.policy, monotonic())

    def extend(self, settings: Settings) -> None:
        """Add the services that these settings have more than those of the newest generation; its sockets are bound."""
        generation = max(self.settings)
        self.settings[generation] = settings
        self._tell("info", "\n".join(self.listeners.chosen()))
        self.core.prepared(generation, settings.services, settings.policy, monotonic())

    def _prepare_failed(self, generation: int, code: int, reason: str) -> None:
        self.core.prepare_failed(generation, code, reason, monotonic())

    def _apply(self, generation: int, settings: Settings) -> None:
        self.settings[generation] = settings
        self.log.configure(settings.log_level, settings.log_format)
        self._reset_on_hup = settings.reset_on_hup
        self._termination_log = settings.termination_log
        if not self._control_opened:
            self._control_opened = True
            where = self._control.open(settings.runtime_dir)
            self.log.say("debug", f"control socket: {where or 'nowhere, no place would have it'}")

    # Running

    def run(self) -> int:
        """Supervise until all is over; return the exit code."""
        while self._finish is None:
            self.act()
            if self._finish is None:
                self._turn()
        self._control.close()
        self.listeners.close()
        return self._finish.code

    def act(self) -> None:
        """Do everything that the core wants done now."""
        while (action := self.core.next_action(monotonic())) is not None:
            self._perform(action)
        self._forget_settings()

    def close(self) -> None:
        """Give signals and descriptors back, after `run`."""
        self._inbox.close()
        self._epoll.close()
        self._notices.close()
        self.log.close()
        for fd in self._lifeline:
            os.close(fd)

    def _turn(self) -> None:
        """Sleep until something happens or is due, and tell the core."""
        timeout = self.core.deadline() - monotonic()
        ready = self._epoll.poll(None if timeout == inf else max(timeout, 0))
        arrived = self._inbox.take()
        dead = list(reap())
        for fd, _ in ready:
            self._watched.get(fd, _nothing)()
        if dead:
            self.spawner.hear_all()
        self._hear_workers()
        for pid, status in dead:
            self._bury(pid, status)
        for signum in arrived:
            self._on_signal(signum)

    def _hear_workers(self) -> None:
        now = monotonic()
        for notice in self._notices.take():
            match notice:
                case Born(serial, pid):
                    self.core.spawned(serial, pid, now)
                case ForkFailed(serial, error):
                    self.core.spawn_failed(serial, os.strerror(error).lower(), now)
                case Ready(pid):
                    self.core.ready(pid, now)
                    self._say_of(pid, "info", "is ready")

    def _bury(self, pid: int, status: int) -> None:
        child = self.core.children.get(pid)
        if child is None:
            self.log.say("debug", f"reaped orphan {pid}: {_describe(status)}")
        else:
            # A mold that ends as expected is no news: if it could not load, its one line has said all.
            expected = "info" if child.slot.service else "debug"
            self._say_of(pid, expected if child.asked else "warning", f"ended: {_describe(status)}")
        self.core.exited(pid, status, monotonic())

    def _say_of(self, pid: int, level: str, text: str) -> None:
        child = self.core.children.get(pid)
        if child is not None:
            self.log.say(level, f"{_title(child)} {text}")

    # What the core asks for

    def _perform(self, action: Action) -> None:
        match action:
            case Prepare(generation):
                self._prepare(generation)
            case Spawn():
                self._spawn(action)
            case Kill(pid, signum, why):
                self._say_of(pid, "info" if signum == Signals.SIGTERM else "warning", f"gets {signum.name[3:]}: {why}")
                os.kill(pid, signum)
            case CloseListeners():
                self.listeners.close()
            case Tell(level, text):
                self._tell(level, text)
            case Finish():
                self._end(action)

    def _prepare(self, generation: int) -> None:
        try:
            pid = self.spawner.prepare(generation)
        except OSError as error:
            reason = f"cannot fork the mold: {(error.strerror or str(error)).lower()}"
            self.core.prepare_deferred(generation, reason, monotonic())
            return
        if pid is not None:
            self.core.prepare_started(generation, pid, monotonic())

    def _spawn(self, spawn: Spawn) -> None:
        settings = self.settings[spawn.generation]
        try:
            pid = self.spawner.spawn(spawn, self.listeners.of(settings.listen, spawn.service))
        except OSError as error:
            self.core.spawn_failed(spawn.serial, (error.strerror or str(error)).lower(), monotonic())
            return
        if pid is not None:
            self.core.spawned(spawn.serial, pid, monotonic())

    def _tell(self, level: str, text: str) -> None:
        for line in text.splitlines():
            self.log.say(level, line)

    def _end(self, finish: Finish) -> None:
        self._finish = finish
        if not finish.reason:
            self.log.say("info", "stopped")
            return
        for line in finish.reason.splitlines():
            self.log.raw(f"launcher: error: {line}")
        termination_log.write(self._termination_log, finish.reason)

    def _forget_settings(self) -> None:
        """Let go of settings that no generation uses any more, and of sockets that no service does."""
        gone = self.settings.keys() - self.core.generations.keys()
        for generation in gone:
            del self.settings[generation]
            self.spawner.forget(generation)
        serving = self._in_use()
        if gone or serving != self._serving:
            self._serving = serving
            self.listeners.keep(
                *(
                    [each for each in settings.listen if (generation, each.service) in serving]
                    for generation, settings in self.settings.items()
                )
            )

    def _in_use(self) -> set[tuple[int, str]]:
        """Which services may be spawned of which generation; after a failed reload, that may be an older one."""
        services = self.core.services.values()
        versions = [(each.name, version) for each in services for version in (each.version, each.proven)]
        used = {(version.generation, name) for name, version in versions if version and version.workers}
        requested = self.core.requested
        if requested in self.settings:  # it is bound, and its mold was lost before it was taken up
            used |= {(requested, listen.service) for listen in self.settings[requested].listen}
        return used

    # Signals (design.md, Signals)

    def _on_signal(self, signum: int) -> None:
        now = monotonic()
        match signum:
            case Signals.SIGCHLD:
                pass
            case Signals.SIGTERM:
                self.core.stop(now)
            case Signals.SIGINT if not self.core.stopping:
                self.core.stop(now)
            case Signals.SIGINT | Signals.SIGQUIT:
                self.core.stop_at_once(now)
            case Signals.SIGHUP if not self._reset_on_hup:
                self.log.say("info", "reload asked for")
                self.core.reload()
            case Signals.SIGTTIN:
                self._scale(+1)
            case Signals.SIGTTOU:
                self._scale(-1)
            case Signals.SIGUSR2:
                self._report()
                self._forward(signum)
            case _:
                self._forward(signum)

    def _scale(self, by: int) -> None:
        for service in self.core.services.values():
            if not service.version.workers:  # dropped by a reload
                continue
            target = max(service.target + by, 1)
            self.core.scale(service.name, target)
            self.log.say("info", f"{service.name}: {target} workers asked for")
            return

    def _forward(self, signum: int) -> None:
        for child in self.core.children.values():
            if child.slot.service is not None:
                os.kill(child.pid, signum)

    def _report(self) -> None:
        """The state, for people: one line a service and a child."""
        for service in self.core.services.values():
            version = service.version
            counts = f"{service.ready} ready of {service.target}, generation {version.generation}"
            self.log.say("info", f"state: {service.name}: {counts}, {service.failures} failures in a row")
        for child in self.core.children.values():
            stage = f"{child.stage.name.lower()} for {monotonic() - child.since:.1f} s"
            self.log.say("info", f"state: {_title(child)}: {stage}")

    # Control socket

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request.get("command"):
            case "live":
                return {"ok": True}
            case "ready":
                return {"ok": self._is_ready()}
            case "status":
                return {"ok": True, **self._status()}
            case _:
                return {"error": "unknown command; use live, ready or status"}

    def _is_ready(self) -> bool:
        services = self.core.services.values()
        return not self.core.stopping and bool(services) and all(s.ready or not s.target for s in services)

    def _status(self) -> dict[str, Any]:
        children = self.core.children.values()
        return {
            "pid": os.getpid(),
            "stopping": self.core.stopping,
            "services": {service.name: _service_status(service) for service in self.core.services.values()},
            "workers": [_worker_status(child, child.slot.service) for child in children if child.slot.service],
            "molds": [child.pid for child in children if child.slot.service is None],
        }


def _service_status(service: Service) -> dict[str, Any]:
    return {"target": service.target, "ready": service.ready, "generation": service.version.generation}


def _worker_status(child: Child, service: Service) -> dict[str, Any]:
    return {
        "pid": child.pid,
        "service": service.name,
        "slot": child.slot.index,
        "generation": child.generation,
        "stage": child.stage.name.lower(),
    }


def _names(settings: Settings) -> set[str]:
    return {spec.name for spec in settings.services}


def _nothing() -> None:
    """The descriptor only wakes; what it says is read in its place."""


def _title(child: Child) -> str:
    if child.slot.service is None:
        return f"mold {child.pid} (generation {child.generation})"
    return f"{child.slot.service.name}: worker {child.pid} (slot {child.slot.index}, generation {child.generation})"


def _describe(status: int) -> str:
    if status < 0:
        return f"killed by {signals.name_of(-status)}"
    return f"exit code {exit_code(status)}"
