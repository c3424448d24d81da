"""`launcher check`: what `launcher run` with the same arguments would do, without doing it.

The configuration is read and checked, the application is imported as a worker would import it, and everything is
printed: each option with its source, each service with its workers and addresses, and the grace period that a stop
needs.  Nothing is bound, and no worker is forked; the application is imported in a child, for it may end its process.
"""

from __future__ import annotations

import os
import signal
import sys
from math import ceil, inf
from mmap import mmap
from typing import TYPE_CHECKING

from launcher import config
from launcher.cli.table import table
from launcher.errors import ConfigError, LauncherError
from launcher.names import look_up
from launcher.spelling import plain
from launcher.supervisor.ends import exit_code
from launcher.supervisor.molds import SIGNALLED
from launcher.supervisor.spawn import fork
from launcher.supervisor.wording import describe
from launcher.worker import application, backends, hooks
from launcher.worker.parent import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from oslo_config import cfg

    from launcher.supervisor.settings import Policy, Settings
    from launcher.worker.application import Target

ORPHANS = 1.0  # seconds for what is left of the namespace once the workers are gone


def main(argv: Sequence[str]) -> int:
    """Check what `argv` would run; return the exit code."""
    try:
        conf = config.load(argv, prog="launcher check")
        targets = config.targets(conf)
    except LauncherError as error:
        return _tell(error)
    named = [*map(str, targets), *(f"{path} ({source})" for path, source in config.hooks(conf).values())]
    return _in_a_child(lambda: _check(conf, targets), ", ".join(named))


def _check(conf: cfg.ConfigOpts, targets: Sequence[Target]) -> int:
    try:
        if targets:
            backends.select(conf.launcher.backend).patch()
        settings = look_up(config.settings(conf, application.load(targets), config.tls(conf)))
        hooks.load(config.hooks(conf))
    except LauncherError as error:
        return _tell(error)
    print("\n".join(_report(conf, settings)))
    return 0


def _tell(error: LauncherError) -> int:
    for line in str(error).splitlines():
        print(f"launcher: error: {line}", file=sys.stderr)
    return error.exit_code


def _in_a_child(check: Callable[[], int], names: str) -> int:
    """Run the check in a process of its own; return its exit code, and say so if it was ended on the way."""
    parent, finished = os.getpid(), mmap(-1, 1)  # no pipe, which the application could close

    def child() -> int:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the parent speaks for the terminal
        die_with(parent, signal.SIGTERM)
        code = check()
        finished[0] = True
        return code

    pid = fork(child, prologue=lambda: None)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if finished[0]:
        return status
    code = _tell(ConfigError(f"{names}: loading ends the process: {describe(status)}; no worker could come of it"))
    return exit_code(status) if exit_code(status) > SIGNALLED else code


def grace_period(policy: Policy) -> float:
    """Return how long a stop may take, in whole seconds; `inf` if it has no limit."""
    total = (
        max(policy.drain_delay, policy.pre_stop_timeout)
        + policy.graceful_shutdown_timeout
        + policy.abort_timeout
        + ORPHANS
    )
    if policy.molds_stay:
        total += policy.mold_timeout + policy.abort_timeout
    return total if total == inf else ceil(total)


def _report(conf: cfg.ConfigOpts, settings: Settings) -> Iterator[str]:
    options = config.provenance(conf).items()
    yield from table(("OPTION", "VALUE", "SOURCE"), ((name, plain(each.value), each.source) for name, each in options))
    yield ""
    yield from table(("SERVICE", "WORKERS", "LISTENS ON"), _services(settings))
    yield from settings.notes
    yield ""
    yield _grace(settings.policy)
    if notice := backends.KINDS[conf.launcher.backend].notice:
        yield notice


def _services(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for spec in settings.services:
        addresses = [listen.address for listen in settings.listen if listen.service == spec.name]
        workers = f"{spec.workers}..{spec.most}" if spec.most else str(spec.workers)
        yield spec.name, workers, ", ".join(addresses) or "-"


def _grace(policy: Policy) -> str:
    period = grace_period(policy)
    if period == inf:
        return "A stop takes as long as the slowest request: graceful_shutdown_timeout = 0 sets no limit."
    return f"A stop may take {period} s: set stop_grace_period / terminationGracePeriodSeconds to at least {period} s."
