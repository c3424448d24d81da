"""`launcher scale SERVICE N`: let a service have N workers, until the next reload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli import client
from launcher.errors import ControlError, UsageError
from launcher.spelling import brief, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher scale SERVICE N [--runtime-dir FOLDER]"
DIGITS_MAX = 18


def main(argv: Sequence[str]) -> int:
    """Scale; return the exit code."""
    return client.run(_scale, argv, USAGE)


def _scale(words: list[str], runtime_dir: str) -> int:
    match words:
        case [name, number] if not name.startswith("-"):
            pass
        case _:
            raise UsageError(f"takes a service and a number; {USAGE}")
    reply = client.ask({"command": "scale", "service": name, "workers": _whole(number)}, runtime_dir)
    if "services" in reply:
        known = reply["services"]
        guess = did_you_mean(name, known) or f"; there are {', '.join(known) or 'none yet'}"
        raise ControlError(f"no service {shown(name)}{guess}")
    if "error" in reply:
        raise ControlError(brief(reply["error"]))
    until = "; the reload under way may bring another number" if reply["reloading"] else ""
    print(f"{name}: {reply['workers']} workers asked for{until}")
    return 0


def _whole(number: str) -> int:
    if not (number.isascii() and number.removeprefix("-").isdigit()):
        raise UsageError(f"{shown(number)} is no whole number; {USAGE}")
    if len(number) > DIGITS_MAX:
        raise ControlError(f"{shown(number)} workers are out of range")
    return int(number)
