"""The state of a supervisor as people see it, in `launcher status` and `launcher top`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.spelling import brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Record = dict[str, Any]
    Column = tuple[str, Callable[[Record], str]]

UNITS = ((60 * 60 * 24, "d"), (60 * 60, "h"), (60, "min"))  # seconds
TWICE = 2  # of a unit are needed for it to be the one to count in: 90 s is clearer than 1 min

SERVICES: tuple[Column, ...] = (
    ("SERVICE", lambda service: service["name"]),
    ("READY", lambda service: str(service["ready"])),
    ("OF", lambda service: str(service["target"])),
    ("GENERATION", lambda service: str(service["generation"])),
    ("FAILURES", lambda service: str(service["failures"])),
    ("LAST UNASKED END", lambda service: service["last_end"] or "-"),
)
WORKERS: tuple[Column, ...] = (
    ("SERVICE", lambda worker: worker["service"]),
    ("SLOT", lambda worker: str(worker["slot"])),
    ("PID", lambda worker: str(worker["pid"])),
    ("GENERATION", lambda worker: str(worker["generation"])),
    ("STAGE", lambda worker: f"{worker['stage']}: {brief(says)}" if (says := worker["says"]) else worker["stage"]),
    ("SINCE", lambda worker: duration(worker["since"])),
    ("AGE", lambda worker: duration(worker["age"])),
    ("BUSY", lambda worker: "-" if worker["share"] is None else f"{worker['share']:.0%}"),
    ("IN FLIGHT", lambda worker: _said(worker, "in_flight")),
    ("REQUESTS", lambda worker: _said(worker, "requests")),
    ("LAST BEAT", lambda worker: duration(worker["beat"]["last"]) if worker["beat"] else "-"),
)


def headlines(status: Record) -> Iterator[str]:
    """Yield what there is to say of the whole: a line, and one more if the last reload failed and none is under way."""
    up = duration(status["uptime"])
    reloading = f", reloading to generation {status['reloading']}" if status["reloading"] else ""
    generation = f"generation {status['generation']}: {status['state']}{reloading}"
    yield f"launcher {status['version']}, PID {status['pid']}, up {up}, {generation}"
    last = status["last_reload"]
    if last and last["error"] and not status["reloading"]:
        yield f"the reload to generation {last['generation']} failed: {brief(last['error'])}"


def services(status: Record) -> list[Record]:
    """Return a record a service, without those that a reload has dropped and that are gone."""
    employed = {worker["service"] for worker in status["workers"]}
    named = ({"name": name, **service} for name, service in status["services"].items())
    return [service for service in named if not service["dropped"] or service["name"] in employed]


def workers(status: Record, before: Record | None = None) -> list[Record]:
    """Return a record a worker, by service and slot, in a slot the oldest first.

    Its `share` is that of the time since `before`, an earlier status, or else of its life, in which it was at work.
    """
    order = list(status["services"])
    earlier = {each["pid"]: each for each in before["workers"]} if before else {}
    records = [{**each, "share": _share(each, earlier.get(each["pid"]))} for each in status["workers"]]
    return sorted(records, key=lambda each: (order.index(each["service"]), each["slot"], -each["age"]))


def _share(worker: Record, before: Record | None) -> float | None:
    if not worker["beat"]:
        return None
    busy, age = worker["beat"]["busy"], worker["age"]
    if before and before["beat"] and before["age"] < age:  # else that was another process of this PID
        busy, age = busy - before["beat"]["busy"], age - before["age"]
    return min(max(busy / age, 0.0), 1.0) if age else 0.0


def _said(worker: Record, field: str) -> str:
    """Return what a worker says of itself; a command says nothing."""
    return str(worker["beat"][field]) if worker["beat"] else "-"


def head(columns: tuple[Column, ...]) -> list[str]:
    """Return the names of the columns."""
    return [name for name, _ in columns]


def rows(columns: tuple[Column, ...], records: list[Record]) -> list[list[str]]:
    """Return the cells."""
    return [[cell(record) for _, cell in columns] for record in records]


def duration(seconds: float) -> str:
    """Return seconds as people say them: 13 s, 5 min, 3 h, 4 d."""
    for size, unit in UNITS:
        if seconds >= TWICE * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"
