"""The configuration of `launcher run`: read, checked as a whole, and handed on.

Precedence: command line, environment (`OS_LAUNCHER__WORKERS=4`), `--config-file` and `--config-dir`, `/etc/launcher/`,
default.  As with every program on oslo.config, `--config-file` replaces `/etc/launcher/launcher.conf`, `--config-dir`
replaces `/etc/launcher/launcher.conf.d/`, and either leaves the other in force; a later file wins over an earlier one.

What `load` returns has no mistake in group `[launcher]`: all mistakes are found before the first is reported, each in
one line that names option, value and source.  Only files that cannot be read are reported alone, since everything
else depends on them.  Groups other than `[launcher]` belong to the application and are left alone.
"""

from __future__ import annotations

import glob
import os
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from oslo_config import cfg

from launcher.addresses import Address
from launcher.arguments import parse
from launcher.commands import READY_AFTER, RESTARTS, CommandLine, of_service, read_ready, read_restart
from launcher.counts import Auto, Between, Machine, auto
from launcher.errors import ConfigError
from launcher.options import BY_NAME, GROUP, OPTIONS, is_verbatim
from launcher.provenance import (
    Configuration,
    Sourced,
    provenance,
    read_environment,
    read_file,
    repeated,
    source,
    told,
    unknown,
)
from launcher.spelling import line, shown
from launcher.supervisor.command import Command
from launcher.supervisor.settings import DEFAULT, Listen, Policy, ServiceSpec, Settings
from launcher.validation import check, check_foreign
from launcher.worker import application
from launcher.worker.hooks import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from launcher.arguments import Arguments
    from launcher.counts import Count
    from launcher.provenance import Assignment
    from launcher.service.tls import TLS
    from launcher.worker.application import Entry, Target

__all__ = [
    "Sourced",
    "commands",
    "hooks",
    "list_opts",
    "load",
    "provenance",
    "register",
    "settings",
    "source",
    "targets",
    "tls",
]

ETC = Path("/etc/launcher")
ASKED_FOR = ("pre_stop", "worker_exit")  # the hooks that PID 1 asks a mold to run
EXAMPLE_ADDRESS = "0.0.0.0:8080"


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return our options for `oslo-config-generator --namespace launcher`."""
    return [(GROUP, [deepcopy(option) for option in OPTIONS])]


def register(conf: cfg.ConfigOpts) -> None:
    """Register our options on `conf`; again is no harm."""
    conf.register_opts(list(OPTIONS), group=GROUP)


def load(argv: Sequence[str], *, prog: str = "launcher run", etc: Path = ETC) -> cfg.ConfigOpts:
    """Read and check everything that `argv`, the environment and the config files say.

    Raises `UsageError` for a command line that makes no sense, `ConfigError` with one line a mistake for all else,
    and `SystemExit(0)` once `--help` was printed.
    """
    arguments = parse(argv, prog)
    assignments = [
        *_read(_places(arguments, etc)),
        *read_environment(os.environ),
        *arguments.assignments,
    ]
    conf = _open(arguments, etc)
    conf.launcher_assignments = {each.option: each for each in assignments if each.option in BY_NAME}
    verbatim = [each for each in conf.launcher_assignments.values() if is_verbatim(BY_NAME[each.option])]
    refused = _override(conf, [*arguments.assignments, *verbatim])
    _raise([*unknown(assignments), *repeated(assignments), *check(conf, refused)])
    return conf


def targets(conf: cfg.ConfigOpts) -> tuple[Target, ...]:
    """Return what `services` names.  Raises `ConfigError`."""
    return application.targets(conf[GROUP].services, source(conf, "services"))


def hooks(conf: cfg.ConfigOpts) -> dict[str, tuple[str, str]]:
    """Return the hooks that are set: of each moment its `module:attr` and its source, in order of execution."""
    return {moment: (conf[GROUP][moment], source(conf, moment)) for moment in MOMENTS if conf[GROUP][moment]}


def tls(conf: cfg.ConfigOpts) -> TLS | None:
    """Load what WSGI services shall speak TLS with, if they shall.  Raises `ConfigError`."""
    _check_foreign(conf)
    group = conf[GROUP]
    if not group.tls_cert_file:
        return None
    from launcher.service.tls import TLS  # OpenSSL is large, and few processes need it

    return TLS(
        group.tls_cert_file,
        group.tls_key_file,
        ca_file=group.tls_ca_file,
        minimum_version=group.tls_minimum_version,
        ciphers=group.tls_ciphers,
        handshake_timeout=group.tls_handshake_timeout,
        name=lambda parameter, value: told(conf, f"tls_{parameter}", value),
    )


def settings(conf: cfg.ConfigOpts, entries: Sequence[Entry], tls: TLS | None = None) -> Settings:
    """Build what PID 1 is handed.

    Raises `ConfigError` if an address cannot be given to a service or is missing, and for all mistakes of a `conf`
    that did not come from `load`.
    """
    _check_foreign(conf)
    group = conf[GROUP]
    _raise(_backdoor(conf, entries))
    commands = _commands(conf)
    wanted = [*(_of_entry(each, group.remold_after or None) for each in entries), *commands]
    services, notes = _services(conf, wanted)
    return Settings(
        services=services,
        commands=tuple(Command(each.name, each.words, each.ready_after is None) for each in commands),
        listen=_listen(conf, wanted),
        policy=_policy(group),
        reset_on_hup=group.reload_method == "reset",
        log_format=group.log_format,
        log_level=group.log_level,
        runtime_dir=group.runtime_dir,
        termination_log=group.termination_log,
        max_requests=group.max_requests,
        max_worker_memory=group.max_worker_memory,
        backdoor_socket=group.backdoor_socket,
        hooks=tuple(name for name in ASKED_FOR if group[name]),
        notes=(*notes, *_not_copied(group.remold_after, entries), *(tls.notes if tls else ())),
    )


def _backdoor(conf: cfg.ConfigOpts, entries: Sequence[Entry]) -> Iterator[str]:
    path = conf[GROUP].backdoor_socket
    if path and len(entries) > 1 and "{pid}" not in path and "{service}" not in path:
        yield f"{told(conf, 'backdoor_socket', path)}: several services would share a path; put {{service}} into it"


def _check_foreign(conf: cfg.ConfigOpts) -> None:
    if not isinstance(conf, Configuration):
        _raise(check_foreign(conf))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A service, of whatever kind."""

    name: str
    workers: Count | None
    wants_socket: bool
    words: tuple[str, ...] = ()  # of a command
    ready_after: float | None = None
    remold_after: float | None = None


def _of_entry(entry: Entry, remold_after: float | None) -> _Wanted:
    patience = remold_after if entry.made_anew else None  # else a copy of a worker would hold it, begun already
    return _Wanted(entry.target.name, entry.target.workers, entry.wants_socket, remold_after=patience)


def _not_copied(remold_after: float, entries: Iterable[Entry]) -> tuple[str, ...]:
    names = ", ".join(each.target.name for each in entries if not each.made_anew)
    return (
        (f"remold_after: not of {names}: a copy would hold its object, which is begun",)
        if remold_after and names
        else ()
    )


def commands(conf: cfg.ConfigOpts) -> tuple[CommandLine, ...]:
    """Return what `command` names; `conf` came from `load`."""
    return tuple(CommandLine.parse(str(text)) for text in conf[GROUP].command)


def _commands(conf: cfg.ConfigOpts) -> list[_Wanted]:
    found = commands(conf)
    ready = dict(of_service(text, None, read_ready) for text in conf[GROUP].ready)
    if source(conf, "ready") == DEFAULT or None not in ready:  # as early as startup_timeout demands
        ready[None] = min(READY_AFTER, conf[GROUP].startup_timeout / 2)
    return [
        _Wanted(each.name, each.workers, each.wants_socket, each.words, ready.get(each.name, ready[None]))
        for each in found
    ]


def _services(conf: cfg.ConfigOpts, wanted: Sequence[_Wanted]) -> tuple[tuple[ServiceSpec, ...], tuple[str, ...]]:
    """Return the services with their numbers of workers, and how those that are `auto` came about."""
    group = conf[GROUP]
    counts = {each.name: each.workers or group.workers for each in wanted}
    automatic = [name for name, count in counts.items() if isinstance(count, Auto)]
    size, why = auto(Machine.here(), group.max_worker_memory) if automatic else (0, "")
    notes = (f"{', '.join(automatic)}: workers = auto is {why}",) if automatic else ()
    restart = dict(of_service(text, None, read_restart) for text in group.restart)
    default = restart.get(None, RESTARTS[0])
    specs = (
        replace(
            _spec(each.name, counts[each.name], size),
            restart=restart.get(each.name, default),
            ready_after=each.ready_after,
            remold_after=each.remold_after,
            dumps_stacks=not each.words,
        )
        for each in wanted
    )
    return tuple(specs), notes


def _spec(name: str, count: Count, size: int) -> ServiceSpec:
    match count:
        case Between(least, most):
            return ServiceSpec(name, least, most)
        case Auto():
            return ServiceSpec(name, size)
    return ServiceSpec(name, count)


def _policy(group: Mapping[str, object]) -> Policy:
    values = {field.name: group[field.name] for field in fields(Policy) if field.name in group}
    values["graceful_shutdown_timeout"] = values["graceful_shutdown_timeout"] or inf
    values["pre_stop_timeout"] = group["pre_stop_timeout"] if group["pre_stop"] else 0.0
    values["molds_stay"] = any(group[name] for name in ASKED_FOR)
    values["liveness_timeout"] = values["liveness_timeout"] or inf
    values["exit_on_crash_loop"] = group["on_crash_loop"] == "exit"
    return Policy(**values)  # type: ignore[arg-type]


def _listen(conf: cfg.ConfigOpts, services: Sequence[_Wanted]) -> tuple[Listen, ...]:
    wanting = [each.name for each in services if each.wants_socket]
    commands = {each.name for each in services if each.words}
    where = source(conf, "listen")
    addresses = [Address.parse(text) for text in conf[GROUP].listen]
    candidates = wanting or [each.name for each in services if where != DEFAULT]
    problems, found = [], []
    for address in addresses:
        owner = address.service or (candidates[0] if len(candidates) == 1 else None)
        if owner is not None:
            found.append(Listen(owner, address.text, where, blocking=owner in commands))
        elif candidates:
            problems.append(f"{told(conf, 'listen', address.text)}: {_whose(candidates)}")
    if not problems:
        problems = [_no_address(name) for name in wanting if name not in {each.service for each in found}]
    _raise(problems)
    return tuple(found)


def _whose(names: Sequence[str]) -> str:
    return f"for which of {', '.join(names)}? Say so, as in `listen = {names[0]}={EXAMPLE_ADDRESS}`"


def _no_address(name: str) -> str:
    return f"service {name} wants an address and has none: say which, as in `listen = {name}={EXAMPLE_ADDRESS}`"


def _raise(problems: Iterable[str]) -> None:
    if lines := list(dict.fromkeys(problems)):
        raise ConfigError("\n".join(lines))


def _places(arguments: Arguments, etc: Path) -> list[tuple[str, str]]:
    """Return the files and directories that oslo.config will read, in its order: those that win come last."""
    given = {kind for kind, _ in arguments.config}
    defaults = (("config-file", etc / "launcher.conf"), ("config-dir", etc / "launcher.conf.d"))
    found = [(kind, path) for kind, place in defaults if kind not in given for path in _present(place)]
    return [*found, *arguments.config]


def _present(path: Path) -> list[str]:
    """Return `path` unless it is certain that nothing is there; what cannot be reached is an error, later."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        pass
    return [str(path)]


def _read(places: Iterable[tuple[str, str]]) -> list[Assignment]:
    found: list[Assignment] = []
    problems: list[str] = []
    for kind, path in places:
        try:
            for file in [path] if kind == "config-file" else _files_in(path):
                found += read_file(_absolute(file))
        except ConfigError as err:
            problems.append(str(err))
    _raise(problems)
    return found


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - exactly as oslo.config does


def _files_in(path: str) -> list[str]:
    directory = os.path.expanduser(path)  # noqa: PTH111 - exactly as oslo.config does
    try:
        os.listdir(directory)  # noqa: PTH208 - only whether it can be listed
    except OSError as err:
        raise ConfigError(f"{line(path)}: cannot read the config directory: {err.strerror}") from None
    return sorted(glob.glob(f"{directory}/*.conf"))  # noqa: PTH207 - as above


def _open(arguments: Arguments, etc: Path) -> Configuration:
    conf = Configuration()
    register(conf)
    try:
        conf(
            [f"--{kind}={path}" for kind, path in arguments.config],
            project=GROUP,
            default_config_files=_present(etc / "launcher.conf"),
            default_config_dirs=_present(etc / "launcher.conf.d"),
        )
    except (cfg.Error, OSError, ValueError, SystemExit) as err:
        raise ConfigError(f"oslo.config cannot read the config files: {shown(err)}") from None
    return conf


def _override(conf: cfg.ConfigOpts, assignments: Iterable[Assignment]) -> set[str]:
    """Let the command line win; return the options for which it says what cannot be."""
    refused = set()
    for each in assignments:
        try:
            conf.set_override(each.option, each.value, GROUP)
        except ValueError:
            refused.add(each.option)
    return refused
