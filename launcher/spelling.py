"""How a message shows what a user wrote, and what the user may have meant.

A message is one line whatever the input holds: control characters, line ends and bytes that are no
text are shown escaped, and what is very long is cut.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 120


def line(text: str) -> str:
    """Return `text` as one printable line; what is empty or not printable comes in quotes."""
    return text if text and text.isprintable() else repr(text)


def shown(value: object) -> str:
    """Return `value` as one printable line of bounded length."""
    text = line(str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def brief(text: str) -> str:
    """Return the first line of a message, and how many more there are."""
    first, *more = text.splitlines() or [""]
    return f"{line(first)} (and {len(more)} more, see the log)" if more else line(first)


def plain(value: object) -> str:
    """Return an option's value as a config file would spell it, on one line."""
    match value:
        case bool():
            return str(value).lower()
        case float():
            return str(int(value)) if value.is_integer() else str(value)
        case list():
            return ", ".join(shown(item) for item in value) or "(none)"
    return "(none)" if value == "" else shown(value)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` most looks like, None if it looks like none of them."""
    return next(iter(get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence: `; did you mean "x"?`, or nothing."""
    match = nearest(word, known)
    return f'; did you mean "{match}"?' if match else ""
