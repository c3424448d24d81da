"""`launcher check`: what `launcher run` with the same arguments would do, without doing it.

The configuration is read and checked, the application is imported as a worker would import it, and everything is
printed: each option with its source, each service with its workers and addresses, and the grace period that a stop
needs.  Nothing is bound and nothing is forked.
"""

from __future__ import annotations

import sys
from math import ceil, inf
from typing import TYPE_CHECKING

from launcher import config
from launcher.cli.table import table
from launcher.errors import LauncherError
from launcher.names import look_up
from launcher.spelling import plain
from launcher.worker import application, backends, hooks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oslo_config import cfg

    from launcher.supervisor.settings import Policy, Settings

ORPHANS = 1.0  # seconds for what is left of the namespace once the workers are gone


def main(argv: Sequence[str]) -> int:
    """Check what `argv` would run; return the exit code."""
    try:
        conf = config.load(argv, prog="launcher check")
        targets = config.targets(conf)
        if targets:
            backends.select(conf.launcher.backend).patch()
        settings = look_up(config.settings(conf, application.load(targets)))
        hooks.load(config.hooks(conf))
    except LauncherError as err:
        for line in str(err).splitlines():
            print(f"launcher: error: {line}", file=sys.stderr)
        return err.exit_code
    print("\n".join(_report(conf, settings)))
    return 0


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
