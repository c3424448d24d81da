"""Methods of a service that are called again and again while it runs.

They begin when its `start()` has returned, so they find all that it has made, and are stopped with the timers of its
group.  A subclass that overrides such a method without decorating it switches it off.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from launcher.service.schedules import Every
from launcher.service.threadgroup import ThreadGroup

if TYPE_CHECKING:
    from collections.abc import Callable

Method = TypeVar("Method", bound="Callable[[Any], object]")

MARK = "launcher_periodic"


@dataclass(frozen=True, slots=True)
class _Period:
    schedule: Every
    initial_delay: float


def periodic(interval: float, *, run_immediately: bool = False) -> Callable[[Method], Method]:
    """Have a method of a `Service` called every `interval` seconds while the service runs, in each worker.

    The first time after `interval` seconds, or at once.  What holds for timers holds here: no overlap, no drift, and an
    exception is logged and ends nothing.  Raises `ValueError` if the interval is not positive.
    """
    period = _Period(Every(interval), 0.0 if run_immediately else interval)

    def mark(method: Method) -> Method:
        setattr(method, MARK, period)
        return method

    return mark


def begin(service: object) -> None:
    """Begin the periodic methods of a service that has started.

    Raises `TypeError` if it has some, but no thread group to run them in.
    """
    periods = _periods(type(service))
    if not periods:
        return
    group = getattr(service, "tg", None)
    if not isinstance(group, ThreadGroup):
        raise TypeError(f"{type(service).__qualname__} has periodic methods but no `tg`: derive it from Service")
    for name, period in periods.items():
        group.repeat(period.schedule, getattr(service, name), initial_delay=period.initial_delay)


def _periods(kind: type) -> dict[str, _Period]:
    """Return the periods of a class's methods, in the order in which they are written."""
    members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
    methods = {name: member for name, member in members.items() if isinstance(member, FunctionType)}
    return {name: vars(method)[MARK] for name, method in methods.items() if MARK in vars(method)}
