"""The mold: reads the configuration, imports the application once, and then only forks workers on request.

It exists so that the supervisor stays small and cannot be broken by the application, while workers
share the imported code, and a reload brings new code and new configuration from a new mold.

Guarantees: one thread of ours, blocked in recvmsg while nobody wants a worker; no listening socket stays
open here; a worker's parent is the supervisor, for the mold forks twice and the process in between ends.
"""

from __future__ import annotations

import _socket
import faulthandler
import gc
import json
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial
from math import inf
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any

from launcher import config
from launcher.errors import EXIT_SOFTWARE, LauncherError
from launcher.names import look_up
from launcher.supervisor.notices import Born, ForkFailed, announce
from launcher.supervisor.spawn import Loaded, fork
from launcher.supervisor.state import Spawn
from launcher.worker import application, backends, hook_process, hooks, logs
from launcher.worker import main as worker
from launcher.worker.copying import Original, receive
from launcher.worker.handlers import ignore
from launcher.worker.hooks import WorkerEnd, WorkerInfo
from launcher.worker.parent import adopted, die_with

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from oslo_config import cfg

    from launcher.service.tls import TLS
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Ties
    from launcher.worker.application import Entry, Service
    from launcher.worker.hooks import Hook

CLIENTS = {"socket", "http.client", "urllib.request"}


@dataclass(frozen=True, slots=True)
class Mold:
    """An application, loaded and ready to be forked."""

    conf: cfg.ConfigOpts
    entries: tuple[Entry, ...]
    hooks: dict[str, Hook]
    settings: Settings
    tls: TLS | None


@dataclass(frozen=True, slots=True)
class Task:
    """What a forked process is for."""

    run: Callable[[], int]
    prologue: Callable[[], None] = lambda: None
    """Done first, with all signals blocked."""


def run(argv: Sequence[str], ties: Ties, channel: socket.socket, *, first: bool) -> int:
    """Load what `argv` says, tell the supervisor, and serve its requests; return the exit code.

    `first`: nothing was ever loaded in this container, so `pre_start` is due.
    """
    faulthandler.enable()
    ignore(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)  # meant for the supervisor
    die_with(ties.supervisor, signal.SIGTERM)
    wire = _socket.socket(fileno=channel.detach())  # eventlet patches `socket`, not this
    try:
        return _load_and_serve(argv, ties, wire, first=first)
    except LauncherError as error:  # the application has closed the channel, so the supervisor cannot be told
        sys.stderr.write(f"launcher: error: {error}\n")
        return error.exit_code


def _load_and_serve(argv: Sequence[str], ties: Ties, wire: _socket.socket, *, first: bool) -> int:
    try:
        mold = load(argv, wire, first=first)
    except LauncherError as error:
        Loaded(code=error.exit_code, reason=str(error)).tell(wire.send)
        return error.exit_code
    gc.collect()
    gc.freeze()  # what is shared with the workers stays untouched by their collections
    Loaded(mold.settings).tell(wire.send)
    if not mold.settings.needs_mold:
        return 0
    _serve(mold, ties, wire)
    return 0


def load(argv: Sequence[str], wire: _socket.socket, *, first: bool) -> Mold:
    """Read the configuration, tell how long the rest may take, and load the application.  Raises `LauncherError`."""
    conf = config.load(argv)
    named = config.hooks(conf)
    Loaded(startup_timeout=conf.launcher.startup_timeout).tell(wire.send)
    targets = config.targets(conf)
    if targets:
        backends.select(conf.launcher.backend).patch()
    gc.enable()  # off since we began: our own imports only set it off for nothing
    ours = set(sys.modules)
    entries = application.load(targets)
    found = hooks.load(named)
    if _speak_to_others(sys.modules.keys() - ours):
        backends.current().complete()
    logs.configure(conf.launcher.log_level, conf.launcher.log_format)
    tls = config.tls(conf)
    mold = Mold(conf, entries, found, look_up(config.settings(conf, entries, tls)), tls)
    if first and "pre_start" in found:
        _pre_start(found["pre_start"], conf, wire)
    if "preload" in found:
        found["preload"].run(conf)
    return mold


def _pre_start(hook: Hook, conf: cfg.ConfigOpts, wire: _socket.socket) -> None:
    """Run it; its time does not count as loading."""
    limit, patience = conf.launcher.pre_start_timeout, conf.launcher.startup_timeout
    Loaded(startup_timeout=patience + (limit or inf)).tell(wire.send)
    begun = monotonic()
    hook_process.run_and_wait(hook, conf, limit)
    Loaded(startup_timeout=patience + monotonic() - begun).tell(wire.send)


def _speak_to_others(names: Iterable[str]) -> bool:
    """Whether one of these modules, or what they import, can be a client: then it will resolve names."""
    for name in names:
        held = getattr(sys.modules.get(name), "__dict__", {}).values() if not name.startswith("launcher.") else ()
        if any(type(each) is ModuleType and each.__name__ in CLIENTS for each in held):
            return True
    return False


def _serve(mold: Mold, ties: Ties, wire: _socket.socket) -> None:
    """Fork a worker for each request, until the supervisor closes the channel."""
    while True:
        data, fds = receive(wire)
        if not data:
            return
        request = json.loads(data)
        task = _hook(mold, ties, request) if "moment" in request else _worker(mold, ties, request, fds)
        try:
            _fork_twice(ties, wire, request["serial"], task)
        except OSError as error:
            announce(ties.notice_fd, ForkFailed(request["serial"], error.errno or 0))
        finally:
            for fd in fds:
                os.close(fd)


def _fork_twice(ties: Ties, wire: _socket.socket, serial: int, task: Task) -> None:
    """Fork a process that forks the wanted one and ends, so that the kernel hands that one to the supervisor."""

    def prologue() -> None:
        wire.close()
        task.prologue()

    def between() -> int:
        parent = os.getpid()
        try:
            pid = fork(lambda: _adopted(parent, task.run), prologue=prologue)
        except OSError as error:
            announce(ties.notice_fd, ForkFailed(serial, error.errno or 0))
            return EXIT_SOFTWARE
        announce(ties.notice_fd, Born(serial, pid))
        os._exit(0)

    pid = fork(between, prologue=lambda: None)
    os.waitid(os.P_PID, pid, os.WEXITED)


def _adopted(parent: int, run: Callable[[], int]) -> int:
    adopted(parent)
    return run()


def _worker(mold: Mold, ties: Ties, request: dict[str, Any], fds: list[int]) -> Task:
    spawn = Spawn(**request)
    who = WorkerInfo(spawn.service, spawn.slot, spawn.generation)

    def make() -> Service:
        entry = next(entry for entry in mold.entries if entry.target.name == spawn.service)
        if "post_fork" in mold.hooks:
            mold.hooks["post_fork"](mold.conf, who)
        return entry.make(mold.conf)

    def run() -> int:
        original = Original(fds.pop(), fds, partial(_serve, mold, ties), ties) if spawn.seasons else None
        given = worker.Given(who, fds, original, mold.tls)
        return worker.run(make, mold.conf, mold.settings, ties.of(spawn), given)

    return Task(run)


def _hook(mold: Mold, ties: Ties, request: dict[str, Any]) -> Task:
    hook = mold.hooks.get(request["moment"])
    if hook is None:  # the configuration has changed since the supervisor heard of it
        return Task(lambda: 0)
    about = WorkerEnd(**request["about"]) if request["about"] else None
    run = partial(hook_process.run_alone, hook, mold.conf, about, request["timeout"], ties.supervisor)
    return Task(run, *([hook_process.outlast_term] if about else []))
