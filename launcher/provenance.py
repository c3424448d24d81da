"""Who set which option: every assignment of a configuration with the file and line it stands in.

oslo.config knows the file of a value but not the line, and passes over names that it does not know.  Here the same
files are read once more with oslo.config's own parser, and nothing that is written for the launcher is passed over.
Only group `[launcher]` and variables `OS_LAUNCHER__*` are looked at: all else belongs to the application.
"""

from __future__ import annotations

import codecs
import io
import locale
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oslo_config import cfg, iniparser

from launcher.errors import ConfigError
from launcher.options import BY_NAME, GROUP, several, takes_many
from launcher.spelling import did_you_mean, line, nearest, shown
from launcher.supervisor.settings import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMAND_LINE = "command line"


@dataclass(frozen=True, slots=True)
class Assignment:
    """An option set somewhere, rightly or wrongly."""

    option: str
    value: str
    origin: str
    """A file's absolute path, `environment NAME` or `command line`."""
    line: int = 0
    """From 1 in a file, else 0."""

    @property
    def source(self) -> str:
        """Where to find it, for a message."""
        return f"{line(self.origin)}:{self.line}" if self.line else line(self.origin)


@dataclass(frozen=True, slots=True)
class Sourced:
    """The value of an option, and who set it."""

    value: object
    source: str
    """`/path/file.conf:12`, `environment NAME`, `command line`, `default`, or what oslo.config says."""


class Configuration(cfg.ConfigOpts):
    """A `ConfigOpts` that remembers by which assignment each option was set."""

    def __init__(self) -> None:
        super().__init__()
        self.launcher_assignments: dict[str, Assignment] = {}


class _Recorder(iniparser.BaseParser):
    """Keeps the assignments of our group with their lines."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.section: str | None = None
        self.found: list[Assignment] = []

    def new_section(self, section: str) -> None:
        self.section = section

    def assignment(self, key: str, value: list[str]) -> None:
        # Called at the line after the assignment, whose lines are those of the value.
        first = self.lineno - len(value)
        if self.section is None:
            raise iniparser.ParseError("a [section] must come before the first assignment", first, "")
        if self.section.lower() == GROUP:
            self.found.append(Assignment(key, "\n".join(value), self.path, first))


def variable(option: str) -> str:
    """Return the name of the environment variable that sets `option`."""
    return f"OS_{GROUP}__{option}".upper()


def read_file(path: str) -> list[Assignment]:
    """Return what the file assigns in our group, in order.

    Raises `ConfigError`, which names the file and, where there is one, the line.
    """
    recorder = _Recorder(path)
    try:
        # The blank line at the end makes the parser hand over the last assignment like any other.
        recorder.parse([*io.StringIO(_text(path), newline=None), "\n", "\n"])
    except iniparser.ParseError as err:
        # Not the line's text: it may be a piece of a secret.
        raise ConfigError(f"{line(path)}:{err.lineno}: {err.msg}") from None
    return recorder.found


def _text(path: str) -> str:
    data = _bytes(path)
    encoding = locale.getpreferredencoding(False)  # what oslo.config's open() takes
    if data.startswith(codecs.BOM_UTF8):
        raise ConfigError(f"{line(path)}:1: begins with a byte order mark; save it as UTF-8 without one")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as err:
        number = data.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{line(path)}:{number}: not {encoding} text (byte {data[err.start]:#04x})") from None


def _bytes(path: str) -> bytes:
    try:
        if stat.S_ISFIFO(Path(path).stat().st_mode):
            raise ConfigError(f"{line(path)}: a pipe can be read only once, and a reload reads again: use a file")
        return Path(path).read_bytes()
    except OSError as err:
        raise ConfigError(f"{line(path)}: cannot read the config file: {err.strerror}") from None


def read_environment(environ: Mapping[str, str]) -> list[Assignment]:
    """Return what the variables of our group assign; one that is no option's keeps its whole name."""
    options = {variable(name): name for name in BY_NAME}
    single = {name.replace("__", "_") for name in options}
    return [
        Assignment(options.get(name, name), value, f"environment {name}")
        for name, value in sorted(environ.items())
        if name.startswith(variable("")) or name in single
    ]


def unknown(assignments: Iterable[Assignment]) -> list[str]:
    """Return a line for each assignment of an option that does not exist."""
    return [_unknown(each) for each in assignments if each.option not in BY_NAME]


def _unknown(each: Assignment) -> str:
    if each.line:
        hint = did_you_mean(each.option.lower(), BY_NAME)
        return f"{shown(each.option)} = {shown(each.value)} ({each.source}): unknown option in [{GROUP}]{hint}"
    word = each.option.removeprefix(variable("")[:-1]).strip("_").lower()
    match = nearest(word, BY_NAME)
    hint = f'; did you mean "{variable(match)}"?' if match else ""
    return f"{shown(each.option)} = {shown(each.value)} (environment): unknown option of the launcher{hint}"


def repeated(assignments: Iterable[Assignment]) -> list[str]:
    """Return a line for each option of several values that one file sets more than once.

    oslo.config takes the last and forgets the others.
    """
    many = [each for each in assignments if each.line and each.option in BY_NAME and takes_many(BY_NAME[each.option])]
    count = Counter((each.origin, each.option) for each in many)
    last = {(each.origin, each.option): each for each in many}
    return [
        f"{each.option} = {shown(each.value)} ({each.source}): set {count[key]} times in this file, only the last "
        f"would count: {several(BY_NAME[each.option])}"
        for key, each in last.items()
        if count[key] > 1
    ]


def source(conf: cfg.ConfigOpts, option: str) -> str:
    """Return who set `option`."""
    if isinstance(conf, Configuration) and option in conf.launcher_assignments:
        return conf.launcher_assignments[option].source
    location = conf.get_location(option, GROUP)
    if location is None or location.location is cfg.Locations.opt_default:
        return DEFAULT
    if location.location is cfg.Locations.environment:
        return f"environment {location.detail}"
    return _SOURCES.get(location.location) or str(location.detail)


_SOURCES = {
    cfg.Locations.set_default: DEFAULT,
    cfg.Locations.set_override: "set by the program",
    cfg.Locations.command_line: COMMAND_LINE,
}


def provenance(conf: cfg.ConfigOpts) -> dict[str, Sourced]:
    """Return the value and the source of each of our options, in the order of the documentation."""
    return {name: Sourced(conf[GROUP][name], source(conf, name)) for name in BY_NAME}


def told(conf: cfg.ConfigOpts, option: str, value: object = None) -> str:
    """Return `option = value (source)`, the value as it was written where it cannot be read."""
    if value is None and isinstance(conf, Configuration) and option in conf.launcher_assignments:
        value = conf.launcher_assignments[option].value
    return f"{option} = {shown(value)} ({source(conf, option)})"
