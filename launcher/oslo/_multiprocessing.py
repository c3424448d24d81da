"""Processes that are started afresh rather than forked, so that they inherit no lock that a thread holds.

Some programs import this module, private as it is (oslo.service: the same).
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.context import SpawnContext
    from multiprocessing.pool import Pool

__all__ = ["get_spawn_context", "get_spawn_pool"]


def get_spawn_context() -> SpawnContext:
    """Return what makes such processes; the default of the process stays as it is."""
    return multiprocessing.get_context("spawn")


def get_spawn_pool(
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    init_args: Iterable[Any] = (),
    max_tasks_per_child: int | None = None,
) -> Pool:
    """Return a pool of such processes."""
    return get_spawn_context().Pool(processes, initializer, init_args, max_tasks_per_child)
