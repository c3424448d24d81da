"""Hooks: functions of the application that are called at a moment of the container's life, in order of execution:

| hook          | when                                    | in which process            | if it fails             |
| ------------- | ------------------------------------- | --------------------------- | ----------------------- |
| `pre_start`   | once, when the application was imported | its own, forked by the mold | the start fails: 78     |
| `preload`     | in each generation, then                | the mold                    | as if the import failed |
| `post_fork`   | before its service is made              | each worker                 | as if start() failed    |
| `pre_stop`    | once, when a stop begins                | its own, forked by the mold | it is logged            |
| `worker_exit` | after a worker has ended                | its own, forked by the mold | it is logged            |

Each takes nothing, or the configuration; `post_fork` and `worker_exit` may take a second value that says whom they are
about.  A hook that does not exist or cannot be called so is found when the application is loaded.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.errors import ConfigError
from launcher.worker.application import required
from launcher.worker.importing import attempt, failed, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

MOMENTS = {"pre_start": 1, "preload": 1, "post_fork": 2, "pre_stop": 1, "worker_exit": 2}
"""In order of execution, each with how many values its hook may take."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Which worker a `post_fork` hook is in."""

    service: str
    slot: int
    """Its number within the service, from 0; a worker that replaces it has the same."""
    generation: int
    """How many times configuration and code were read: 1 for the first."""


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """The end that a `worker_exit` hook is told of."""

    service: str
    slot: int
    generation: int
    pid: int
    exit_code: int
    """As a shell says it: 128+n if signal n killed it."""
    why: str
    """For people."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A function of the application, and where it was named."""

    moment: str
    path: str
    source: str
    function: Callable[..., object]
    takes: int

    def __str__(self) -> str:
        return f"{self.moment} = {self.path} ({self.source})"

    def __call__(self, conf: Any, about: WorkerInfo | WorkerEnd | None = None) -> None:
        """Call it.  What the application raises passes through."""
        self.function(*(conf, about)[: self.takes])

    def run(self, conf: Any, about: WorkerEnd | None = None) -> None:
        """Call it; raise `ConfigError` if it fails, when its traceback is on stderr."""
        try:
            self(conf, about)
        except BaseException as error:  # noqa: BLE001 - the border to the application's code
            if isinstance(error, SystemExit) and not error.code:
                return
            raise failed(str(self), error) from None


def load(named: Mapping[str, tuple[str, str]]) -> dict[str, Hook]:
    """Import the hooks: of each moment its `module:attr`, and who named it.

    Raises `ConfigError` with a line for each that cannot be loaded.
    """
    modules: dict[str, ModuleType | ConfigError] = {}
    found: dict[str, Hook] = {}
    problems = []
    for moment, (path, source) in named.items():
        module, _, attr = path.partition(":")
        if module not in modules:
            modules[module] = attempt(module)
        try:
            function = find(modules[module], attr)
            found[moment] = Hook(moment, path, source, *_callable(function, MOMENTS[moment]))
        except ConfigError as error:
            problems.append(f"{moment} = {path} ({source}): {error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _callable(function: object, most: int) -> tuple[Callable[..., object], int]:
    """Return it with the number of values to call it with."""
    if not callable(function):
        raise ConfigError(f"a {type(function).__name__} is not callable")
    if inspect.iscoroutinefunction(function):
        raise ConfigError("it is asynchronous; a hook is not")
    takes = required(function, any_number=most)
    if takes is None or takes > most:
        info = ", or it and the worker" if most > 1 else ""
        raise ConfigError(f"a hook takes nothing, or the configuration{info}; this one requires something else")
    return function, takes
