"""Commands as services, as a user writes them: `NAME[=N]:PROGRAM ARGS...`, and what is said of single services.

The words are split as a shell would split them, but there is no shell: no variables, no globs, no pipes.  Nothing is
executed here; that the program can be found is checked, for a reload must find out before it replaces anything.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from launcher import counts
from launcher.spelling import did_you_mean, shown
from launcher.supervisor.command import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from launcher.supervisor.settings import Restart

    T = TypeVar("T")

FORM = "NAME:PROGRAM ARGS... or NAME=WORKERS:PROGRAM ARGS..., as in web=4:./server --fd {fd}"
NOTIFY = "notify"
READY_FORM = f"[SERVICE=]{NOTIFY} or [SERVICE=]SECONDS"
RESTARTS: tuple[Restart, ...] = ("always", "on-failure", "never")
RESTART_FORM = f"[SERVICE=]POLICY, and POLICY one of: {', '.join(RESTARTS)}"
READY_AFTER = 1.0  # seconds; without a word of its own, a command that runs for so long serves
LONGEST = 1_000_000.0  # seconds, as of all durations
ELASTIC = "workers = {} follows how busy workers are, which a command does not tell: use a number, or auto"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_COMMAND = re.compile(rf"(?P<name>{_NAME})(?:=(?P<workers>[^:\s]*))?:(?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command as a service, as the user names it."""

    name: str
    workers: int | counts.Auto | None
    """None: as many as the option `workers` says."""
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> CommandLine:
        """Read it.  Raises `ValueError` with what is wrong."""
        match = _COMMAND.fullmatch(text)
        if match is None:
            raise ValueError(f"must be {FORM}")
        workers = None if match["workers"] is None else _workers(match["workers"])
        return cls(match["name"], workers, _words(match["rest"]))

    @property
    def wants_socket(self) -> bool:
        """Whether it makes no sense without an address to listen on."""
        return Command(self.name, self.words).wants_socket


def _workers(text: str) -> int | counts.Auto:
    try:
        count = counts.parse(text)
    except ValueError as error:
        raise ValueError(f"the number of workers must be {error}") from None
    if isinstance(count, counts.Between):
        raise ValueError(ELASTIC.format(count))  # noqa: TRY004 - it is what the user wrote
    return count


def _words(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
    if not words or not words[0]:
        raise ValueError(f"no program to run; must be {FORM}")
    if "\0" in text:
        raise ValueError("no word can have a NUL character in it")
    _check_program(words[0])
    return tuple(words)


def _check_program(name: str) -> None:
    """Look for it where execvp(3) would.  Raises `ValueError`."""
    if shutil.which(name) is not None:
        return
    if os.sep not in name:
        raise ValueError(f"no program {shown(name)} in any folder of PATH")
    if not os.path.exists(name):  # noqa: PTH110 - relative to where we are, as the kernel will see it
        raise ValueError(f"there is no {shown(name)}")
    raise ValueError(f"{shown(name)} is not an executable file")


def of_service(text: str, names: Collection[str] | None, read: Callable[[str], T]) -> tuple[str | None, T]:
    """Read `[SERVICE=]VALUE`; the service is None where there is none, and all are meant.

    `names` are the services that there are, None if that is not to be checked.  Raises `ValueError` with what is wrong.
    """
    service, equals, value = text.partition("=")
    if not equals:
        return None, read(text)
    service = service.strip()
    if names is not None and service not in names:
        hint = did_you_mean(service, names) or f"; there is: {', '.join(names)}"
        raise ValueError(f"no service is named {shown(service)}{hint}")
    return service, read(value.strip())


def read_ready(text: str) -> float | None:
    """Read seconds; `notify` is None.  Raises `ValueError`."""
    if text == NOTIFY:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"must be {READY_FORM}, as in web={NOTIFY} or web=2.5")
    return seconds


def read_restart(text: str) -> Restart:
    """Read a policy.  Raises `ValueError`."""
    for policy in RESTARTS:
        if text == policy:
            return policy
    raise ValueError(f"must be {RESTART_FORM}")
