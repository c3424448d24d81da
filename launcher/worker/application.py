"""From `module:attr[=workers]` to something that a worker can run.

What `attr` is decides how a service is made of it, in the worker, with the configuration at hand:

| attr                                                          | the service                                      |
| ------------------------------------------------------------- | ------------------------------------------------ |
| a class with start(), stop() and wait()                       | `cls()`, or `cls(conf)` if it requires one value |
| an object with start(), stop() and wait()                     | the object                                       |
| a callable that requires two positional values, or takes any  | a `WSGIService` around it                        |
| a callable that requires one                                  | what `attr(conf)` returns: service or WSGI       |
| a callable that requires none                                 | what `attr()` returns: service or WSGI           |

A service is known by its methods, so one written for oslo.service is accepted as it is.  A service that wants a socket
says so by an attribute `wants_socket = True`; so may a factory, whose result is not known before it is called.

Whatever goes wrong ends in a `ConfigError` of one line a target.  Where the application's own code raised, its
traceback is printed first (importing.py).  Nothing here imports a concurrency library.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from launcher import counts
from launcher.errors import ConfigError
from launcher.spelling import shown
from launcher.worker.importing import NOT_A_FILE, attempt, find, import_from_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from oslo_config import cfg

FORM = "MODULE:ATTR or MODULE:ATTR=WORKERS, as in shop.wsgi:api=4"
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_TARGET = re.compile(rf"(?P<module>{_DOTTED}):(?P<attr>{_DOTTED})(?:=(?P<workers>.*))?")
_METHODS = ("start", "stop", "wait")
_WSGI = 2  # environ, start_response


class Service(Protocol):
    """What a worker runs.  `reset()` may be missing."""

    def start(self) -> object: ...
    def stop(self) -> object: ...
    def wait(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A service as the user names it."""

    name: str
    module: str
    attr: str
    workers: counts.Count | None
    """None: as many as the option `workers` says."""
    source: str
    """Who named it, for messages."""

    @classmethod
    def parse(cls, text: str, source: str) -> Target:
        """Read `module:attr[=workers]`.  Raises `ConfigError`."""
        match = _TARGET.fullmatch(text)
        if match is None:
            raise ConfigError(f"services = {shown(text)} ({source}): must be {FORM}{_file_hint(text)}")
        module, attr, workers = match.group("module", "attr", "workers")
        name = attr.rpartition(".")[2]
        return cls(name, module, attr, None if workers is None else _workers(workers, text, source), source)

    @property
    def path(self) -> str:
        """`module:attr`."""
        return f"{self.module}:{self.attr}"

    def __str__(self) -> str:
        return f"{self.path} ({self.source})"


def _workers(workers: str, text: str, source: str) -> counts.Count:
    try:
        return counts.parse(workers)
    except ValueError as error:
        raise ConfigError(f"services = {shown(text)} ({source}): workers must be {error}") from None


def _file_hint(text: str) -> str:
    return NOT_A_FILE if "/" in text or ".py:" in text else ""


def targets(texts: Iterable[str], source: str) -> tuple[Target, ...]:
    """Read all targets and give each service a name of its own: its attr, or `module:attr` where two have that.

    Raises `ConfigError` with a line for each that is wrong.
    """
    found, problems = [], []
    for text in texts:
        try:
            found.append(Target.parse(text, source))
        except ConfigError as err:
            problems.append(str(err))
    twice = (path for path, count in Counter(target.path for target in found).items() if count > 1)
    problems += [f"services = {path} ({source}): named twice; one with =WORKERS is enough" for path in twice]
    if problems:
        raise ConfigError("\n".join(problems))
    names = Counter(target.name for target in found)
    return tuple(replace(target, name=target.path) if names[target.name] > 1 else target for target in found)


@dataclass(frozen=True, slots=True)
class Entry:
    """A service that was found in the application and can be made."""

    target: Target
    wants_socket: bool
    make: Callable[[cfg.ConfigOpts], Service]
    """Make the service, in the worker.  What the application raises passes through."""
    made_anew: bool = True
    """Whether each call makes another one; else it is an object of the application's."""


def load(targets: Iterable[Target]) -> tuple[Entry, ...]:
    """Import what the targets name.

    Raises `ConfigError` with a line for each target that cannot be loaded; tracebacks of the application's own code
    are on stderr by then.
    """
    import_from_here()
    modules: dict[str, ModuleType | ConfigError] = {}
    entries, problems = [], []
    for target in targets:
        if target.module not in modules:  # one that fails is not imported again
            modules[target.module] = attempt(target.module)
        try:
            entries.append(_entry(target, find(modules[target.module], target.attr)))
        except ConfigError as err:
            problems.append(f"{target}: {err}")
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(entries)


def _entry(target: Target, found: object) -> Entry:
    wants_socket = bool(getattr(found, "wants_socket", False))
    if isinstance(found, type) and not _is_wsgi_class(found):
        return Entry(target, wants_socket, _class_maker(found))
    if _is_service(found):
        return Entry(target, wants_socket, lambda _conf: cast("Service", found), made_anew=False)
    if not callable(found):
        raise ConfigError(f"a {type(found).__name__} is neither a service nor callable")
    return _callable_entry(target, found, wants_socket=wants_socket)


def lacking(candidate: object) -> list[str]:
    """Return the methods, as `start()`, without which this is no service."""
    return [f"{method}()" for method in _METHODS if not callable(getattr(candidate, method, None))]


def _is_service(candidate: object) -> bool:
    return not lacking(candidate)


def _is_wsgi_class(cls: type) -> bool:
    """PEP 3333 allows a class whose instances are the response."""
    return not _is_service(cls) and hasattr(cls, "__iter__") and required(cls, any_number=0) == _WSGI


def _class_maker(cls: type) -> Callable[[cfg.ConfigOpts], Service]:
    if missing := lacking(cls):
        raise ConfigError(f"{cls.__name__} is a class but no service: it has no {', '.join(missing)}")
    if inspect.isabstract(cls):
        undefined = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise ConfigError(f"{cls.__name__} is abstract: it does not define {undefined}")
    match required(cls, any_number=0):
        case 0:
            return lambda _conf: cast("Service", cls())
        case 1:
            return lambda conf: cast("Service", cls(conf))
    raise ConfigError(
        f"{cls.__name__} must be made with nothing or with the configuration alone; "
        "a factory, a function that takes the configuration, can make it with more"
    )


def _callable_entry(target: Target, call: Callable[..., object], *, wants_socket: bool) -> Entry:
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):
        raise ConfigError("it is asynchronous; a service, a factory or a WSGI callable is not")
    match required(call, any_number=_WSGI):
        case 0:
            return Entry(target, wants_socket, lambda conf: _result(target, call(), conf))
        case 1:
            return Entry(target, wants_socket, lambda conf: _result(target, call(conf), conf))
        case 2:
            return Entry(target, True, lambda conf: _wsgi(call, conf))
    raise ConfigError(
        "a callable takes nothing or the configuration (a factory), "
        "or environ and start_response (WSGI); this one requires something else"
    )


def required(call: Callable[..., object], *, any_number: int) -> int | None:
    """Return how many positional values a call requires, at least `any_number` where it has `*args`.

    None if its signature cannot be had, or positional values alone will not do.
    """
    try:
        parameters = [*inspect.signature(call).parameters.values()]
    except (TypeError, ValueError):
        return None
    needed = [each for each in parameters if each.default is each.empty]
    if any(each.kind is each.KEYWORD_ONLY for each in needed):
        return None
    count = sum(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in needed)
    takes_any = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return max(count, any_number) if takes_any else count


def _result(target: Target, made: object, conf: cfg.ConfigOpts) -> Service:
    """Take what a factory made."""
    if _is_service(made) and not isinstance(made, type):
        return cast("Service", made)
    if callable(made) and required(made, any_number=_WSGI) == _WSGI:
        return _wsgi(made, conf)
    raise ConfigError(f"{target}: the factory returned a {type(made).__name__}, neither a service nor a WSGI callable")


def _wsgi(app: Callable[..., object], conf: cfg.ConfigOpts) -> Service:
    from launcher.service.wsgi import WSGIService

    group = conf.launcher
    service = WSGIService(app, keepalive_timeout=group.keepalive_timeout, request_timeout=group.request_timeout)
    return cast("Service", service)
