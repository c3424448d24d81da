"""The loop: tells the core what happened, does what it asks, and otherwise sleeps in one epoll_wait.

Guarantees: one thread; with nothing due it makes no system call.  Order matters in `_turn`: the
signals are taken first, for a CHLD that is taken after the dead were collected would be lost; then the
dead are collected, then everything they said is heard, and only then are their ends told, so no news
comes after its sender is gone.  Timers come last: what has arrived in time counts.
"""

from __future__ import annotations

import os
from math import inf
from random import random
from signal import Signals
from time import monotonic
from typing import TYPE_CHECKING

from launcher.errors import why
from launcher.supervisor import signals, termination_log
from launcher.supervisor.cgroup import OomKills
from launcher.supervisor.control import ControlSocket
from launcher.supervisor.core import Core, exit_code
from launcher.supervisor.elasticity import Elasticity
from launcher.supervisor.generations import Generations
from launcher.supervisor.herald import Herald
from launcher.supervisor.hooks import WORKER_EXIT, Hooks
from launcher.supervisor.log import Log
from launcher.supervisor.memory import MemoryLimit
from launcher.supervisor.notices import BUSY, Born, ExecFailed, ForkFailed, NoticePipe, Ready, Spent
from launcher.supervisor.orders import Orders
from launcher.supervisor.reaper import Reaper
from launcher.supervisor.reloads import Reloads
from launcher.supervisor.requests import Requests
from launcher.supervisor.scoreboard import Scoreboard
from launcher.supervisor.sending import send
from launcher.supervisor.spawn import Ties
from launcher.supervisor.state import (
    CloseListeners,
    Finish,
    Kill,
    Prepare,
    Reloaded,
    Remold,
    RunPreStop,
    Spawn,
    Stage,
    Tell,
)
from launcher.supervisor.status import Status
from launcher.supervisor.superior import Superior
from launcher.supervisor.timers import Timers
from launcher.supervisor.unpatched import unpatched
from launcher.supervisor.watchdog import Watchdog
from launcher.supervisor.watching import EPOLLIN
from launcher.supervisor.wording import OUT_OF_MEMORY, describe, title, why_not_forked

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from launcher.supervisor.commands import Commands
    from launcher.supervisor.hooks import HookCall
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Loaded, Spawner
    from launcher.supervisor.state import Action, Child

    MakeReaper = Callable[[Mapping[int, Child], Callable[[float], object]], Reaper]


class Loop:
    """The supervisor of one process tree.

    It catches signals from its construction on.  A spawner is to be set before `run`.
    In a program that does other things in the same thread, `sleep` lets it: until a descriptor is readable, at most so
    many seconds.
    """

    spawner: Spawner
    sleep: Callable[[int, float | None], object] | None = None

    def __init__(self, settings: Settings, make_reaper: MakeReaper = lambda *_: Reaper()) -> None:
        self.core = Core(settings.policy)
        self.log = Log(settings.log_level, settings.log_format)
        self.timers = Timers()
        self.generations = Generations(
            self.core,
            self.log,
            initial=settings,
            provide=self._provide,
            in_force=self._in_force,
            forget=self._forget,
        )
        self.hooks = Hooks(self.log, self._ask_for_hook, self._pre_stop_ended)
        self.listeners = self.generations.listeners
        self.commands: Commands | None = None  # made when it is needed
        self._reloads = Reloads()
        self._scoreboard = Scoreboard()
        status = Status(self.core, self._reloads, self._scoreboard)
        superior = Superior.of(os.environ)
        self._herald = Herald(superior, self.core, status, self._reloads, self.timers, self.log)
        self._orders = Orders(self.core, self.log, self.generations, status, self._reload_begins)
        requests = Requests(self.core, self._orders, self._reloads, status)
        self._memory_limit = MemoryLimit(self.core, self.generations, self.timers, self.log, random)
        self._oom_kills = OomKills()
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = unpatched("select").epoll()
        self._notices = NoticePipe()
        self._lifeline = os.pipe2(os.O_CLOEXEC)
        self._reaper = make_reaper(self.core.children, lambda seconds: self.timers.after(seconds, _nothing))
        self._elasticity = Elasticity(self.core, self.generations, self.timers, self.log, self._scoreboard)
        self._watchdog = Watchdog(self.core, self.timers, self._scoreboard, self._reaper.stopped)
        self._inbox = signals.SignalInbox(signals.HANDLED)
        self._control = ControlSocket(requests.answer, self)
        self._control_opened = False
        self._finish: Finish | None = None
        # Their contents are read in every turn, whatever woke it.
        for fd in (self._inbox.fd, self._notices.fd):
            self.watch(fd, _nothing)

    # For spawners

    def watch(self, fd: int, call: Callable[[], None], events: int = EPOLLIN) -> None:
        """Call when one of these events (epoll_ctl(2)) happens to `fd`, or its other end hangs up.

        Of two calls the later counts.
        """
        (self._epoll.modify if fd in self._watched else self._epoll.register)(fd, events)
        self._watched[fd] = call

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""
        del self._watched[fd]
        self._epoll.unregister(fd)

    def loaded(self, generation: int, loaded: Loaded) -> None:
        """A mold has loaded a generation, or says how it goes."""
        self.generations.loaded(generation, loaded)

    def spawn_failed(self, serial: int, reason: str) -> None:
        """A worker that was asked for cannot be forked."""
        if serial < 0:
            self.hooks.failed(serial, reason)
        else:
            self.core.spawn_failed(serial, reason, monotonic())

    def ties(self) -> Ties:
        """What a forked process is bound to us with."""
        return Ties(os.getpid(), self._notices.write_fd, self._lifeline[0], self._scoreboard)

    def close_in_child(self, keep: Sequence[socket.socket]) -> None:
        """In a forked process: close what is ours alone, all sockets but those to keep, and give the signals back."""
        self._inbox.close()
        self.log.close()
        self.listeners.close_in_child(keep)
        self._epoll.close()
        self._control.close_in_child()
        if self.commands is not None:
            self.commands.close_in_child()
        os.close(self._notices.fd)
        os.close(self._lifeline[1])

    def _provide(self, settings: Settings) -> None:
        """Make what settings need before anything else knows of them.  Raises OSError."""
        if settings.commands and self.commands is None:
            from launcher.supervisor.commands import Commands

            self.commands = Commands(self, self._is_ready, self.core.says)
            self._orders.commands = self.commands

    def _in_force(self, settings: Settings) -> None:
        """Take up settings.  The control socket is opened where the first ones want it; there it stays."""
        self._watchdog.configure(settings.policy.liveness_timeout)
        self._memory_limit.in_force(settings)
        self._elasticity.in_force(settings)
        if not self._control_opened:
            self._control_opened = True
            where = self._control.open(settings.runtime_dir)
            self.log.say("debug", f"control socket: {where or 'nowhere, no place would have it'}")
            if taken := self._control.taken:
                hint = "commands ask that one: give each a runtime_dir of its own"
                self.log.say("warning", f"another supervisor answers at {taken}, and {hint}")

    def _forget(self, generation: int) -> None:
        self.spawner.forget(generation)

    def _reload_begins(self) -> None:
        self._herald.reload_begins()
        if self.generations.current.reset_on_hup:
            self.spawner.mutate()

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

    def stop(self) -> None:
        """Do as on TERM; any thread may call it, and a signal handler."""
        self._inbox.record(Signals.SIGTERM, None)

    def act(self) -> None:
        """Do everything that the core wants done now."""
        while (action := self.core.next_action(monotonic())) is not None:
            self._perform(action)
        self.generations.forget_unused()
        self._herald.look()

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
        due = min(self.core.deadline(), self.timers.deadline())
        timeout = None if due == inf else max(due - monotonic(), 0)
        if self.sleep is not None:
            self.sleep(self._epoll.fileno(), timeout)
            timeout = 0
        ready = self._epoll.poll(timeout)
        arrived = self._inbox.take()
        dead = self._reaper.reap()
        for fd, _ in ready:
            self._watched.get(fd, _nothing)()
        if dead:
            self.spawner.hear_all()
            if self.commands is not None:
                self.commands.hear()
        self._hear_workers()
        for pid, status in dead:
            self._bury(pid, status)
        if self._reaper.stopped:
            self._watchdog.meet(self._reaper.stopped, monotonic())
        for signum in arrived:
            self._orders.obey(signum)
        self.timers.expire(monotonic())

    def _hear_workers(self) -> None:
        now = monotonic()
        for notice in self._notices.take():
            match notice:
                case Born(serial, pid) if serial < 0:
                    self.hooks.born(serial, pid)
                case ForkFailed(serial, error) if serial < 0:
                    self.hooks.failed(serial, why_not_forked(error))
                case Born(serial, pid):
                    self.core.spawned(serial, pid, now)
                case ForkFailed(serial, error) if error == BUSY:
                    self.core.remold_put_off(serial, now)
                case ForkFailed(serial, error):
                    self.core.spawn_failed(serial, why_not_forked(error), now)
                case Ready(pid):
                    self._is_ready(pid)
                case Spent(pid):
                    self.core.retire(pid, "has served max_requests", now)
                case ExecFailed(pid, error) if self.commands is not None:
                    self.commands.failed(pid, error)

    def _is_ready(self, pid: int) -> None:
        now = monotonic()
        self.core.ready(pid, now)
        child = self.core.children.get(pid)
        if child is not None and child.slot.service is None:  # a copy of a worker, in time or too late
            if child.copy_of and child.stage is Stage.READY:
                self.spawner.hand_over(child.generation)
            return
        self._watchdog.meet([pid], now)
        self._say_of(pid, "info", "is ready")
        self._memory_limit.ready(pid)

    def _bury(self, pid: int, status: int) -> None:
        unexecuted = self.commands.ended(pid) if self.commands is not None else ""
        child = self.core.children.get(pid)
        cause = unexecuted or self._cause(child, status)
        end = cause or describe(status)
        if child is None:
            if not self.hooks.ended(pid, status):
                self.log.say("debug", f"reaped orphan {pid}: {end}")
        else:
            # A mold that ends as expected is no news: if it could not load, its one line has said all.
            expected = "info" if child.slot.service else "debug"
            self._say_of(pid, expected if child.asked else "warning", f"ended: {end}")
            self._call_hooks(child, status, end)
            self.spawner.worker_ended(child.seat)
        self.core.exited(pid, status, monotonic(), cause)

    def _cause(self, child: Child | None, status: int) -> str:
        """Return what only the kernel knows of an end: a KILL that is not ours may be its own."""
        ours = child is not None and child.stage is Stage.KILLED
        return OUT_OF_MEMORY if status == -Signals.SIGKILL and not ours and self._oom_kills.claim() else ""

    def _call_hooks(self, child: Child, status: int, end: str) -> None:
        """What has ended may be what hooks are about, or what they were asked of."""
        service = child.slot.service
        if service is None:
            if not any(each.stage is Stage.READY and each is not child for each in child.slot.children):
                self.hooks.mold_ended(child.generation)
        elif WORKER_EXIT in self.generations.current.hooks:
            who = {"service": service.name, "slot": child.slot.index, "generation": child.generation, "pid": child.pid}
            self.hooks.worker_exit({**who, "exit_code": exit_code(status), "why": end})

    def _ask_for_hook(self, call: HookCall) -> int:
        """Ask the newest mold for it; return its generation.  Raises OSError."""
        loaded = [generation for generation, record in self.core.generations.items() if record.prepared]
        if not loaded:
            raise BrokenPipeError("no mold is loaded")
        self.spawner.call_hook(max(loaded), call)
        return max(loaded)

    def _pre_stop_ended(self) -> None:
        self.core.pre_stop_ended(monotonic())

    def _say_of(self, pid: int, level: str, text: str) -> None:
        child = self.core.children.get(pid)
        if child is not None:
            self.log.say(level, f"{title(child)} {text}")

    # What the core asks for

    def _perform(self, action: Action) -> None:
        match action:
            case Prepare(generation):
                self._prepare(generation)
            case Spawn():
                self._spawn(action)
            case Remold():
                self._remold(action)
            case Kill():
                self._kill(action)
            case RunPreStop():
                self.hooks.pre_stop(self.core.state.policy.pre_stop_timeout)
            case CloseListeners():
                self.listeners.close()
            case Tell(level, text):
                self.log.lines(level, text.splitlines())
            case Reloaded():
                self._reloaded(action)
            case Finish():
                self._end(action)

    def _reloaded(self, reloaded: Reloaded) -> None:
        if not reloaded.error:
            self.log.say("info", f"generation {reloaded.generation} is in force and ready")
        self._reloads.ended(reloaded.generation, reloaded.error)

    def _kill(self, kill: Kill) -> None:
        level = "info" if kill.signum == Signals.SIGTERM else "warning"
        self._say_of(kill.pid, level, f"gets {kill.signum.name[3:]}: {kill.why}")
        permitted = self._signal(kill.pid, kill.signum)
        if kill.signum == Signals.SIGKILL and self.commands is not None and kill.pid in self.commands:
            self.commands.kill_group(kill.pid)
        if permitted and kill.pid in self._reaper.stopped:  # what was sent waits until it goes on
            send(kill.pid, Signals.SIGCONT, self.log)
        if kill.signum == Signals.SIGKILL and not permitted:  # nobody is to wait for it: an orphan from now on
            self.core.exited(kill.pid, -Signals.SIGKILL, monotonic(), "may not be killed: it has another user")

    def _signal(self, pid: int, signum: int) -> bool:
        """Send a signal, if permitted; a loaded mold ends by its channel, once it has forked for the last hooks."""
        child = self.core.children.get(pid)
        record = self.core.generations.get(child.generation) if child and not child.slot.service else None
        loaded = record is not None and record.prepared and child in record.slot.children and child.served
        if child and loaded and signum == Signals.SIGTERM and WORKER_EXIT in self.generations.current.hooks:
            self.spawner.forget(child.generation)
            return True
        return send(pid, signum, self.log)

    def _prepare(self, generation: int) -> None:
        try:
            pid = self.spawner.prepare(generation)
        except OSError as error:
            reason = f"cannot fork the mold: {why(error.errno or 0)}"
            self.core.prepare_deferred(generation, reason, monotonic())
            return
        if pid is not None:
            self.core.prepare_started(generation, pid, monotonic())

    def _spawn(self, spawn: Spawn) -> None:
        listeners = self.generations.listeners_of(spawn)
        command = self.generations.command_of(spawn)
        try:
            if command is not None and self.commands is not None:
                pid: int | None = self.commands.spawn(spawn, command, listeners)
            else:
                pid = self.spawner.spawn(spawn, listeners)
        except OSError as error:
            self.spawn_failed(spawn.serial, why(error.errno) if error.errno else str(error))
            return
        if pid is not None:
            self.core.spawned(spawn.serial, pid, monotonic())

    def _remold(self, remold: Remold) -> None:
        self._say_of(remold.pid, "debug", "is asked for a copy that becomes the mold")
        try:
            self.spawner.remold(remold)
        except OSError as error:
            self.spawn_failed(remold.serial, why(error.errno) if error.errno else str(error))

    def _end(self, finish: Finish) -> None:
        self._finish = finish
        if not finish.reason:
            self.log.say("info", "stopped")
            return
        for line in finish.reason.splitlines():
            self.log.raw(f"launcher: error: {line}")
        termination_log.write(self.generations.current.termination_log, finish.reason)


def _nothing() -> None:
    """The descriptor only wakes; what it says is read in its place."""
