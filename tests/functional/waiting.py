"""Waiting for a condition with a deadline: the only way a test here waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PATIENCE = 30.0  # seconds; generous, for a machine that does other things too


def wait_for(condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Return the first true value of `condition`."""
    deadline = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.02)
    return value
