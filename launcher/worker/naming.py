"""What a log calls a call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def name_of(call: Callable[..., object]) -> str:
    """Return the name that its author knows it by."""
    while isinstance(call, partial):
        call = call.func
    return getattr(call, "__qualname__", None) or repr(call)
