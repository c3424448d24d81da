"""The types of options: each says in words what it allows, and allows nothing that the supervisor could not do.

No empty number, no NaN, no infinity, no duration too long for epoll.  Durations are seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

from oslo_config import types

from launcher import counts

LEAST_MEMORY = 2**20  # bytes; a smaller limit is a unit forgotten
LONGEST = 1_000_000.0  # seconds; epoll counts milliseconds in a C int and ends at 24 days


class Constrained(types.ConfigType):
    """A type that can say what it allows."""

    allowed: str


class Whole(Constrained, types.Integer):
    """A count."""

    def __init__(self, least: int, most: int) -> None:
        super().__init__(min=least, max=most)
        self.allowed = f"a whole number from {least} to {most}"

    def __call__(self, value: Any) -> int:
        number = super().__call__(value)
        if number is None:  # oslo.config reads an empty number as None
            raise ValueError(self.allowed)
        return int(number)


class Workers(Constrained):
    """How many workers: a number, `MIN..MAX`, or `auto`."""

    allowed = counts.ALLOWED

    def __init__(self) -> None:
        super().__init__(type_name="number, MIN..MAX or auto")

    def __call__(self, value: Any) -> counts.Count:
        try:
            return counts.parse(str(value))
        except ValueError:
            raise ValueError(repr(value)) from None

    def _formatter(self, value: counts.Count) -> str:
        return str(value)


class Bytes(Constrained):
    """An amount of memory, or 0 for none; K, M and G are powers of 1024."""

    allowed = "0, or bytes from 1M on, with K, M or G for powers of 1024, as in 512M"
    _form = re.compile(r"([0-9]{1,15})([KMG]?)", re.IGNORECASE)
    _units: ClassVar = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}

    def __init__(self) -> None:
        super().__init__(type_name="bytes, with K, M or G")

    def __call__(self, value: Any) -> int:
        match = self._form.fullmatch(str(value))
        amount = int(match[1]) * self._units[match[2].upper()] if match else -1
        if amount and amount < LEAST_MEMORY:
            raise ValueError(repr(value))
        return amount

    def _formatter(self, value: int) -> str:
        return str(value)


class Fraction(Constrained, types.Float):
    """A part of a whole."""

    allowed = "a number from 0 to 1"

    def __init__(self) -> None:
        super().__init__(min=0.0, max=1.0, type_name="fraction")

    def __call__(self, value: Any) -> float:
        number = super().__call__(value)
        if number is None or not isfinite(number):
            raise ValueError(self.allowed)
        return float(number)


class Seconds(Constrained, types.Float):
    """A finite duration; 0 is one only where `zero` says so."""

    def __init__(self, *, zero: bool) -> None:
        super().__init__(min=0.0, max=LONGEST, type_name="seconds" if zero else "seconds, above 0")
        self.zero = zero
        self.allowed = f"a number of seconds {'from' if zero else 'above'} 0, at most {LONGEST:.0f}"

    def __call__(self, value: Any) -> float:
        number = super().__call__(value)
        if number is None or not isfinite(number) or (number == 0 and not self.zero):
            raise ValueError(self.allowed)
        return float(number)


class Choice(Constrained, types.String):
    """One of some words, in any case; each comes with what it means."""

    def __init__(self, **meanings: str) -> None:
        super().__init__(choices=list(meanings.items()), ignore_case=True)
        self.allowed = f"one of: {', '.join(meanings)}" if len(meanings) > 1 else next(iter(meanings))

    def __call__(self, value: Any) -> str:
        return str(super().__call__(value)).lower()


class AbsolutePath(Constrained, types.String):
    """An absolute path, or nothing."""

    allowed = "an absolute path, or nothing"

    def __call__(self, value: Any) -> str:
        path = str(super().__call__(value))
        if (path and not path.startswith("/")) or "\0" in path:
            raise ValueError(self.allowed)
        return path


class BackdoorPath(Constrained, types.String):
    """An absolute path of which each worker gets its own, or nothing."""

    allowed = "an absolute path with {pid} or {worker} in it, no other braces but {service}, or nothing"
    _form = re.compile(r"(/([^{}\0]|\{(pid|worker|service)\})+)?")

    def __call__(self, value: Any) -> str:
        path = str(super().__call__(value))
        if not self._form.fullmatch(path) or (path and "{pid}" not in path and "{worker}" not in path):
            raise ValueError(self.allowed)
        return path


class Function(Constrained, types.String):
    """A function of the application, or nothing."""

    allowed = "MODULE:ATTR, as in shop.db:migrate, or nothing"
    _form = re.compile(r"([^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*)?")

    def __call__(self, value: Any) -> str:
        path = str(super().__call__(value))
        if not self._form.fullmatch(path):
            raise ValueError(self.allowed)
        return path


class Text(Constrained, types.String):
    """Any text, or nothing."""

    allowed = "text, or nothing"


class Items(Constrained, types.List):
    """Values separated by commas or line ends."""

    allowed = "values separated by commas"
    joint = ","
    one_line = "write one line, the values separated by commas"

    def __call__(self, value: Any) -> list[Any]:
        parts = value if isinstance(value, list) else re.split(r"[,\n]", value)
        return [part.strip() for part in parts if part.strip()]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A text in which oslo.config, which looks for options in a `str`, puts nothing in the place of a `$`."""

    text: str

    def __str__(self) -> str:
        return self.text


class Lines(Items):
    """Values one a line, taken as they are: a comma in them means nothing."""

    allowed = "values, one a line"
    joint = "\n"
    one_line = "write it once, one value a line, the further lines indented"

    def __call__(self, value: Any) -> list[Any]:
        parts = value if isinstance(value, list) else value.split("\n")
        return [Verbatim(text) for part in parts if (text := str(part).strip())]
