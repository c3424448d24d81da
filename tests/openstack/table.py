"""Run every program under oslo.service and under launcher.oslo, as PID 1 of containers, and print one table.

Usage: python -m tests.openstack.table [WORD...]; with words, the programs that have one of them in their title.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import docker

from tests.openstack.programs import PROGRAMS
from tests.openstack.station import LAUNCHER, OSLO, Station, build, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from tests.openstack.programs import Program
    from tests.openstack.station import End, Under

PATIENCE = 40.0  # seconds for a start
GRACE = 25.0  # seconds for an end; graceful_shutdown_timeout is 15
IDLE = 10  # seconds
ORPHANS = 5
IMPORTING = (0.1, 0.25, 0.4)  # seconds after the start, when TERM comes and the program is still being imported
COLUMNS = (
    ("", "---"),
    ("under", "---"),
    ("start s", "--:"),
    ("workers", "--:"),
    (f"switches in {IDLE} s", "--:"),
    ("respawn s", "--:"),
    ("HUP: other PIDs", "--:"),
    ("HUP: new value", "--:"),
    (f"zombies of {ORPHANS} orphans", "--:"),
    ("TERM s / code", "--:"),
    ("INT s / code", "--:"),
    ("TERM in import: code", "---"),
)


def main() -> None:
    engine = docker.from_env(timeout=100)
    programs = [program for program in PROGRAMS if all(word in program.title for word in sys.argv[1:])]
    for project in dict.fromkeys(program.project for program in programs):
        build(project)
    print_row(*(name for name, _ in COLUMNS))
    print_row(*(line for _, line in COLUMNS))
    for program in programs:
        for under in (OSLO, LAUNCHER):
            print_row(program.title, under.name, *measure(engine, program, under))


def measure(engine: DockerClient, program: Program, under: Under) -> list[str]:
    """Return the cells of a row."""
    with running(engine, program, under) as station:
        started = station.seconds_to_start(PATIENCE)
        if started is None:
            sys.stderr.write(station.logs()[-4000:])
            return ["never", *["-"] * (len(COLUMNS) - 3)]
        cells = [f"{started:.1f}", *life(station)]
    with running(engine, program, under) as station:
        station.seconds_to_start(PATIENCE)
        cells.append(written(station.ended_by("INT", GRACE)))
    ends = [term_in_import(engine, program, under, seconds) for seconds in IMPORTING]
    return [*cells, summary(ends)]


@contextmanager
def running(engine: DockerClient, program: Program, under: Under) -> Iterator[Station]:
    station = Station(engine.containers.create(**options(program, under)), program)
    try:
        station.container.start()
        yield station
    finally:
        station.container.remove(force=True, v=True)


def life(station: Station) -> list[str]:
    """Return what is seen between the start and TERM."""
    time.sleep(2)  # until what is done once after a start is done
    workers = station.workers()
    idle = station.observe("switches", str(IDLE))
    killed = respawn(station, workers)
    hung_up = hangup(station)
    # Last, since a Guru Meditation Report fails where PID 1 has zombies.
    zombies = station.observe("orphans", str(ORPHANS))
    return [
        "in PID 1" if workers == {1} else str(len(workers)),
        str(idle),
        killed,
        *hung_up,
        str(zombies),
        written(station.ended_by("TERM", GRACE)),
    ]


def respawn(station: Station, workers: set[int]) -> str:
    if workers == {1}:
        return "-"
    seconds = station.observe("respawn", str(min(workers)))
    time.sleep(2)  # until the replacement is ready
    return "never" if seconds is None else f"{seconds:.2f}"


def hangup(station: Station) -> list[str]:
    """Change a value, send HUP; return how many processes are others then, and how many have it."""
    before = station.workers()
    station.change()
    station.signal("HUP")
    time.sleep(5)
    after = station.workers()
    replaced = "-" if before == {1} else f"{len(after - before)} of {len(before)}"
    if not station.program.reports:
        return [replaced, "-"]
    return [replaced, f"{sum(station.has_changed(pid) for pid in sorted(after))} of {len(after)}"]


def term_in_import(engine: DockerClient, program: Program, under: Under, seconds: float) -> End | None:
    with running(engine, program, under) as station:
        time.sleep(seconds)
        assert not station.starts(), "it has started, so it is not being imported"
        return station.ended_by("TERM", 10.0)


def summary(ends: list[End | None]) -> str:
    codes = ", ".join(sorted({f"{end.code}" for end in ends if end}))
    count = f"{sum(end is not None for end in ends)} of {len(ends)} end"
    return f"{count}, {codes}" if codes else count


def written(end: End | None) -> str:
    return f"{end.seconds:.2f} / {end.code}" if end else f"not in {GRACE:.0f} s"


def print_row(*cells: Any) -> None:
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
