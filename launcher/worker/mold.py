"""The mold: reads the configuration, imports the application once, and then only forks workers on request.

It exists so that the supervisor stays small and cannot be broken by the application, while workers
share the imported code, and a reload brings new code and new configuration from a new mold.

Guarantees: one thread of ours, blocked in recvmsg while nobody wants a worker; no listening socket stays
open here; a worker's parent is the supervisor, for the mold forks twice and the process in between ends.
"""

from __future__ import annotations

import _socket
import array
import faulthandler
import gc
import json
import os
import signal
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from launcher import config
from launcher.errors import EXIT_SOFTWARE, LauncherError
from launcher.supervisor.notices import Born, ForkFailed, announce
from launcher.supervisor.spawn import MESSAGE_MAX, Loaded, fork
from launcher.supervisor.state import Spawn
from launcher.worker import application, backends, logs
from launcher.worker import main as worker
from launcher.worker.parent import die_with

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from oslo_config import cfg

    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Ties
    from launcher.worker.application import Entry, Target

CLIENTS = {"socket", "http.client", "urllib.request"}
FDS_MAX = 253  # SCM_MAX_FD; unix(7)


@dataclass(frozen=True, slots=True)
class Mold:
    """An application, loaded and ready to be forked."""

    conf: cfg.ConfigOpts
    targets: tuple[Target, ...]
    entries: tuple[Entry, ...]
    settings: Settings


def run(argv: Sequence[str], ties: Ties, channel: socket.socket) -> int:
    """Load what `argv` says, tell the supervisor, and serve its requests; return the exit code."""
    faulthandler.enable()
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):  # meant for the supervisor
        signal.signal(signum, _nothing)
    die_with(ties.supervisor, signal.SIGTERM)
    wire = _socket.socket(fileno=channel.detach())  # eventlet patches `socket`, not this
    try:
        mold = load(argv, wire)
    except LauncherError as error:
        wire.send(Loaded(code=error.exit_code, reason=str(error)).pack())
        return error.exit_code
    gc.collect()
    gc.freeze()  # what is shared with the workers stays untouched by their collections
    wire.send(Loaded(mold.settings).pack())
    _serve(mold, ties, wire)
    return 0


def load(argv: Sequence[str], wire: _socket.socket) -> Mold:
    """Read the configuration, tell how long the rest may take, and import the application.  Raises `LauncherError`."""
    conf = config.load(argv)
    wire.send(Loaded(startup_timeout=conf.launcher.startup_timeout).pack())
    backends.select(conf.launcher.backend).patch()
    targets = config.targets(conf)
    gc.enable()  # off since we began: our own imports only set it off for nothing
    ours = set(sys.modules)
    entries = application.load(targets)
    if _speak_to_others(sys.modules.keys() - ours):
        backends.current().complete()
    logs.configure(conf.launcher.log_level, conf.launcher.log_format)
    return Mold(conf, targets, entries, config.settings(conf, entries))


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
        data, ancillary, _, _ = wire.recvmsg(MESSAGE_MAX, _socket.CMSG_SPACE(FDS_MAX * 4), _socket.MSG_CMSG_CLOEXEC)
        if not data:
            return
        request = json.loads(data)
        fds = _received(ancillary)
        try:
            _fork_twice(mold, ties, wire, Spawn(**request), fds)
        except OSError as error:
            announce(ties.notice_fd, ForkFailed(request["serial"], error.errno or 0))
        finally:
            for fd in fds:
                os.close(fd)


def _received(ancillary: list[tuple[int, int, Any]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def _fork_twice(mold: Mold, ties: Ties, wire: _socket.socket, spawn: Spawn, fds: list[int]) -> None:
    """Fork a process that forks the worker and ends, so that the kernel hands the worker to the supervisor."""

    def between() -> int:
        parent = os.getpid()
        try:
            pid = fork(lambda: _become_worker(mold, ties, spawn, fds, parent), prologue=wire.close)
        except OSError as error:
            announce(ties.notice_fd, ForkFailed(spawn.serial, error.errno or 0))
            return EXIT_SOFTWARE
        announce(ties.notice_fd, Born(spawn.serial, pid))
        os._exit(0)

    pid = fork(between, prologue=_nothing)
    os.waitid(os.P_PID, pid, os.WEXITED)


def _become_worker(mold: Mold, ties: Ties, spawn: Spawn, fds: list[int], parent: int) -> int:
    while os.getppid() == parent:  # it is about to end: until then the supervisor is not our parent
        os.sched_yield()
    entry = next(entry for entry in mold.entries if entry.target.name == spawn.service)
    return worker.run(lambda: entry.make(mold.conf), mold.conf, mold.settings, ties, fds)


def _nothing(*_: object) -> None:
    """A handler instead of SIG_IGN, which programs that the application starts would inherit."""
