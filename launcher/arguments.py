"""The command line of `launcher run` and `launcher check`, before anything of it is believed.

Every option of group `[launcher]` is an argument, spelled with dashes and always followed by its value; all else that
does not begin with a dash is a target.  oslo.config's own command line is not used: it would call the option
`--launcher-workers`, and lets the environment win over an argument whose option is in a file, too.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from launcher.errors import UsageError
from launcher.options import OPTIONS, allowed, joined, takes_many
from launcher.provenance import COMMAND_LINE, Assignment, variable
from launcher.spelling import did_you_mean, plain, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oslo_config import cfg

CONFIG = ("config-file", "config-dir")
DESCRIPTION = """\
MODULE:ATTR names a service class, a factory that takes the configuration, or a WSGI callable; =WORKERS says how many
workers it gets.
"""
EPILOG = """\
An argument wins over the environment (OS_LAUNCHER__WORKERS=4), which wins over the config files.
"""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line says."""

    config: tuple[tuple[str, str], ...]
    """`("config-file" or "config-dir", path)` in the order given."""
    assignments: tuple[Assignment, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parse(argv: Sequence[str], prog: str) -> Arguments:
    """Read the arguments.

    Raises `UsageError` for what no argument can be; `SystemExit(0)` once `--help` was printed.
    """
    parser = _parser(prog)
    given, others = parser.parse_known_args(list(argv))
    values = {option.name: getattr(given, option.name) for option in OPTIONS}
    values["services"] = [*(values["services"] or ()), *_targets(parser, others)]
    assignments = (
        Assignment(option.name, joined(option, texts), COMMAND_LINE)
        for option in OPTIONS
        if (texts := values[option.name])
    )
    return Arguments(tuple(given.config), tuple(assignments))


def _targets(parser: argparse.ArgumentParser, others: Sequence[str]) -> list[str]:
    targets = [other for other in others if other != "--"]
    for target in targets:
        if target.startswith("-"):
            name = target.partition("=")[0]
            known = [*(_flag(option.name) for option in OPTIONS), *(_flag(name) for name in CONFIG)]
            parser.error(f"unknown option {shown(name)}{did_you_mean(name, known)}")
    return targets


def _config_path(kind: str, path: str) -> tuple[str, str]:
    return kind, path


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        usage=f"{prog} [OPTION VALUE]... [MODULE:ATTR[=WORKERS] ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
    )
    for name in CONFIG:
        parser.add_argument(
            _flag(name),
            dest="config",
            action="append",
            default=[],
            metavar="PATH",
            type=partial(_config_path, name),
            help=_CONFIG_HELP[name],
        )
    for option in OPTIONS:
        parser.add_argument(_flag(option.name), dest=option.name, action="append", metavar="VALUE", help=_help(option))
    return parser


_CONFIG_HELP = {
    "config-file": "Read this file instead of /etc/launcher/launcher.conf. Can be given several times: the later wins.",
    "config-dir": "Read the *.conf files of this directory, sorted, instead of those of /etc/launcher/launcher.conf.d.",
}


def _help(option: cfg.Opt) -> str:
    default = plain(option.default)
    must = "" if takes_many(option) else f" Must be {allowed(option)}."
    return f"{option.help}{must} Default: {default}. Variable: {variable(option.name)}.".replace("%", "%%")
