"""`launcher run`: supervise services.  Standard library only: this process stays as it is for the container's life."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from launcher.errors import EXIT_SOFTWARE, ConfigError, why
from launcher.supervisor import reaper, signals, termination_log
from launcher.supervisor.inherited import Inherited
from launcher.supervisor.log import open_missing_stdio
from launcher.supervisor.loop import Loop
from launcher.supervisor.settings import Settings
from launcher.supervisor.spawn import MoldSpawner
from launcher.supervisor.stderr import Stderr

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Supervise what `argv` says until it is over; return the exit code.  Signals are blocked by the caller."""
    if "--help" in argv or "-h" in argv:
        return _help(argv)
    open_missing_stdio()
    reaper.adopt_orphans()
    try:
        inherited = Inherited.of(os.environ)  # first: a number that is missing must not become one of ours
        loop = Loop(Settings(services=()))
    except ConfigError as error:
        return _cannot_start(str(error), error.exit_code)
    except OSError as error:
        return _cannot_start(f"cannot start: {why(error.errno or 0)}", EXIT_SOFTWARE)
    loop.listeners.inherit(inherited)
    ties = loop.ties()

    def mold(_generation: int, channel: socket.socket) -> int:
        gc.disable()  # the imports set it off dozens of times; on again before the application's
        from launcher.worker.deferred import deferred

        # What oslo.config imports for types and drivers that this program does not use.
        with deferred("netaddr", "rfc3986", "stevedore"):
            from launcher.worker import mold
        return mold.run(argv, ties, channel, first=not loop.core.services)

    def prologue(listeners: Sequence[socket.socket]) -> None:
        loop.close_in_child(listeners)
        signals.clean_slate()
        signals.ignore_as_python_does()

    loop.spawner = MoldSpawner(mold, prologue, loop)
    gc.freeze()
    gc.enable()
    signals.restore(())  # from here on the loop hears of what arrived since the first statement
    code = loop.run()
    reaper.sweep()
    if loop.commands is not None:
        loop.commands.finish()
    return code


def _cannot_start(reason: str, code: int) -> int:
    for line in reason.splitlines():
        Stderr().write(f"launcher: error: {line}\n")
    termination_log.write(termination_log.PATH, reason)
    return code


def _help(argv: Sequence[str]) -> int:
    signals.restore(())
    from launcher import config

    config.load(argv)
    return 0
