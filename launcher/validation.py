"""What is wrong with a configuration, all of it at once.

A value that cannot be read takes part in no comparison, so a mistake is reported once and not with its consequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from oslo_config import cfg

from launcher.addresses import Address, overlap
from launcher.commands import CommandLine, of_service, read_ready, read_restart
from launcher.counts import Between
from launcher.errors import ConfigError
from launcher.options import BY_NAME, GROUP, allowed
from launcher.provenance import Assignment, Configuration, source, told
from launcher.spelling import did_you_mean, line, plain, shown
from launcher.supervisor.settings import DEFAULT
from launcher.worker import application
from launcher.worker.backends import KINDS
from launcher.worker.hooks import MOMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

T = TypeVar("T")

HALF_GRACE = "default, half of graceful_shutdown_timeout"
TLS_ALONE = ("tls_key_file", "tls_ca_file", "tls_ciphers")  # mean nothing without a certificate
NO_SERVICES = (
    "no services: name one, as in `launcher run shop:api` or `launcher run --command 'web:./server'`, "
    "or set services = shop:api in [launcher] of a config file"
)


def check(conf: Configuration, refused: Container[str]) -> list[str]:
    """Return a line for each mistake in the values, and for each contradiction between those that are none.

    `refused` are the options whose value on the command line is impossible.
    """
    values, problems = _values(conf, refused)
    return [
        *problems,
        *_backoff(conf, values),
        *_outlived(conf, values, "keepalive_timeout", "idle connections outlive"),
        *_outlived(conf, values, "tls_handshake_timeout", "clients that do not get on outlive"),
        *_tls(conf, values),
        *_remold(conf, values),
        *_services(conf, values),
    ]


def check_foreign(conf: cfg.ConfigOpts) -> list[str]:
    """Return the same for a configuration that the program has opened itself, and whose services it makes itself."""
    values, problems = _values(conf, ())
    hooks = [
        f"{_named(conf, each)}: a program that launches its services itself calls it itself"
        for each in MOMENTS
        if values.get(each)
    ]
    return [
        *problems,
        *hooks,
        *_backoff(conf, values),
        *_tls(conf, values),
        *_addresses(conf, values.get("listen"), None),
        *_foreign(conf, values),
    ]


def _foreign(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> list[str]:
    commands = [
        f"{told(conf, 'command', each)}: only `launcher run` runs commands" for each in _list(values, "command")
    ]
    return [*commands, *_of_services(conf, "restart", values, None, read_restart)[0]]


def _values(conf: cfg.ConfigOpts, refused: Container[str]) -> tuple[dict[str, object], list[str]]:
    problems: list[str] = []
    values: dict[str, object] = {}
    for name in BY_NAME:
        problem = _impossible(conf, name) if name in refused else _read(conf, name, values)
        problems += [problem] if problem else []
    return values, problems


def _read(conf: cfg.ConfigOpts, option: str, values: dict[str, object]) -> str | None:
    try:
        values[option] = conf[GROUP][option]
    except RecursionError:
        return f"{_named(conf, option)}: refers to itself"
    except ValueError as err:
        # Of a foreign configuration only oslo.config knows value and source, and says them in its error.
        known = isinstance(conf, Configuration)
        return _impossible(conf, option) if known else f"{line(str(err))}: must be {allowed(BY_NAME[option])}"
    except cfg.Error as err:
        return f"{_named(conf, option)}: {shown(err)}"
    return None


def _named(conf: cfg.ConfigOpts, option: str) -> str:
    return told(conf, option) if isinstance(conf, Configuration) else f"{option} in [{GROUP}]"


def _impossible(conf: cfg.ConfigOpts, option: str) -> str:
    return f"{told(conf, option)}: must be {allowed(BY_NAME[option])}"


def _backoff(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> list[str]:
    match values:
        case {"backoff_min": float(low), "backoff_max": float(high)} if low > high:
            limit = told(conf, "backoff_max", plain(high))
            return [f"{told(conf, 'backoff_min', plain(low))}: must not be greater than {limit}"]
    return []


def _outlived(conf: Configuration, values: Mapping[str, object], option: str, what: str) -> list[str]:
    """What a stop waits for must end before the grace does; a default makes way, a wish is refused."""
    limit, grace = values.get(option), values.get("graceful_shutdown_timeout")
    if not isinstance(limit, float) or not isinstance(grace, float) or not 0 < grace <= limit:
        return []
    if option not in conf.launcher_assignments:
        derived = Assignment(option, plain(grace / 2), HALF_GRACE)
        conf.launcher_assignments[derived.option] = derived
        conf.set_default(derived.option, grace / 2, GROUP)
        return []
    most = told(conf, "graceful_shutdown_timeout", plain(grace))
    return [f"{told(conf, option, plain(limit))}: must be less than {most}, or {what} the grace of a stop"]


def _tls(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> list[str]:
    if values.get("tls_cert_file", "unreadable"):
        return []
    return [
        f"{told(conf, option, values[option])}: there is no certificate; set tls_cert_file too"
        for option in TLS_ALONE
        if values.get(option)
    ]


def _remold(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> list[str]:
    match values:
        case {"remold_after": float(patience), "backend": str(backend)} if patience and KINDS[backend].has_threads:
            wish = told(conf, "remold_after", plain(patience))
            return [f"{wish}: workers have threads with {told(conf, 'backend', backend)}, and a copy would lack them"]
    return []


def _services(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> list[str]:
    targets, problems = _targets(conf, values)
    commands, more = _commands(conf, values)
    problems += more
    names = None
    if targets is not None and commands is not None:
        problems += [
            f"{told(conf, 'command', each)}: services has one of this name already; choose another"
            for each in sorted({*targets} & {*commands})
        ]
        names = [*targets, *commands]
        if not names:
            problems.append(NO_SERVICES)
    addresses = _addresses(conf, values.get("listen"), names)
    return [*problems, *addresses, *_ready(conf, values, commands, names), *_restart(conf, values, names)]


def _targets(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> tuple[list[str] | None, list[str]]:
    if "services" not in values:
        return None, []
    try:
        return [each.name for each in application.targets(conf[GROUP].services, source(conf, "services"))], []
    except ConfigError as err:
        return None, [str(err)]


def _commands(conf: cfg.ConfigOpts, values: Mapping[str, object]) -> tuple[list[str] | None, list[str]]:
    """Return the names of the commands, None if not all can be read, and what is wrong with them."""
    names: list[str] = []
    problems = []
    for text in map(str, _list(values, "command")):
        try:
            command = CommandLine.parse(text)
        except ValueError as err:
            problems.append(f"{told(conf, 'command', text)}: {err}")
            continue
        if command.name in names:
            problems.append(f"{told(conf, 'command', text)}: a command {command.name} is there already")
        if command.workers is None and isinstance(values.get("workers"), Between):
            elastic = told(conf, "workers", values["workers"])
            problems.append(
                f"{told(conf, 'command', text)}: say how many, as in {command.name}=4: "
                f"{elastic} follows how busy workers are, which a command does not tell"
            )
        names.append(command.name)
    return (None if problems or "command" not in values else names), problems


def _ready(
    conf: cfg.ConfigOpts, values: Mapping[str, object], commands: Sequence[str] | None, names: Sequence[str] | None
) -> list[str]:
    if commands is None or names is None:
        return []
    problems, found = _of_services(conf, "ready", values, names, read_ready)
    startup = values.get("startup_timeout")
    for text, (service, seconds) in found.items():
        if service is not None and service not in commands:
            problems.append(f"{told(conf, 'ready', text)}: {service} is no command, it says itself when it is ready")
        if (
            seconds is not None
            and isinstance(startup, float)
            and seconds >= startup
            and source(conf, "ready") != DEFAULT
        ):
            limit = told(conf, "startup_timeout", plain(startup))
            problems.append(f"{told(conf, 'ready', text)}: must be less than {limit}")
    return problems


def _restart(conf: cfg.ConfigOpts, values: Mapping[str, object], names: Sequence[str] | None) -> list[str]:
    return [] if names is None else _of_services(conf, "restart", values, names, read_restart)[0]


def _of_services(
    conf: cfg.ConfigOpts,
    option: str,
    values: Mapping[str, object],
    names: Sequence[str] | None,
    read: Callable[[str], T],
) -> tuple[list[str], dict[str, tuple[str | None, T]]]:
    """Return what is wrong with values that are said of single services, and those that can be read."""
    problems: list[str] = []
    found: dict[str, tuple[str | None, T]] = {}
    for text in _list(values, option):
        try:
            service, value = of_service(text, names, read)
        except ValueError as err:
            problems.append(f"{told(conf, option, text)}: {err}")
            continue
        if any(service == other for other, _ in found.values()):
            problems.append(f"{told(conf, option, text)}: set before for {service or 'all services'}")
        found[text] = service, value
    return problems, found


def _list(values: Mapping[str, object], option: str) -> list[Any]:
    found = values.get(option)
    return found if isinstance(found, list) else []


def _addresses(conf: cfg.ConfigOpts, texts: object, names: Sequence[str] | None) -> list[str]:
    """Return what is wrong with the addresses; whose they are is checked where all services are known."""
    problems = []
    taken: dict[str, tuple[str, ...]] = {}
    for text in texts if isinstance(texts, list) else ():
        try:
            address = Address.parse(text)
        except ValueError as err:
            problems.append(f"{told(conf, 'listen', text)}: {err}")
            continue
        if names and address.service is not None and address.service not in names:
            hint = did_you_mean(address.service, names) or f"; there is: {', '.join(names)}"
            problems.append(f"{told(conf, 'listen', text)}: no service is named {shown(address.service)}{hint}")
        rival = next((each for each in taken if overlap(address.identity, taken[each])), None)
        if rival is not None:
            same = address.identity == taken[rival]
            clash = f"the same address as {shown(rival)}" if same else f"overlaps with {shown(rival)}; keep one of them"
            problems.append(f"{told(conf, 'listen', text)}: {clash}")
        taken[text] = address.identity
    return problems
