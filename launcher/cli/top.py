"""`launcher top`: the status of the supervisor of this container, live, until q or Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from launcher.cli import client, view
from launcher.errors import ControlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

USAGE = "usage: launcher top [--runtime-dir FOLDER]"
INTERVAL = 1.0  # seconds
STYLES = {"ready": "green", "starting": "yellow", "stopping": "yellow", "aborted": "red", "killed": "red"}


def main(argv: Sequence[str]) -> int:
    """Show the status until told to end; return the exit code."""
    return client.run(_top, argv, USAGE)


def _top(words: list[str], runtime_dir: str) -> int:
    if words:
        raise UsageError(f"cannot make sense of {' '.join(words)}; {USAGE}")
    console = Console(highlight=False)
    if not (sys.stdin.isatty() and console.is_terminal) or console.is_dumb_terminal:
        raise ControlError("needs a terminal; use `launcher status`")
    status = _ask(runtime_dir)
    with _terminal() as asked_to_end, Live(_screen(status), console=console, screen=True, auto_refresh=False) as live:
        while (code := asked_to_end()) is None:
            before, status = status, _ask(runtime_dir)
            live.update(_screen(status, before), refresh=True)
    return code


def _ask(runtime_dir: str) -> dict[str, Any]:
    return client.told({"command": "status"}, runtime_dir)


@contextmanager
def _terminal() -> Iterator[Callable[[], int | None]]:
    """Take single keys from the terminal; yield what waits an interval for one, or a signal, that asks for the end.

    Signals are only noted: one that raised could do so between the terminal's change and the promise to undo it.
    """
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    noted, note = os.pipe()
    os.set_blocking(note, False)
    signal.set_wakeup_fd(note)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)
    try:
        tty.setcbreak(fd)
        yield lambda: _asked_to_end(fd, noted)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _asked_to_end(keys: int, noted: int) -> int | None:
    """Return the exit code, if it is time to."""
    ready = select.select([keys, noted], [], [], INTERVAL)[0]
    if noted in ready:
        signum = os.read(noted, 1)[0]
        return 0 if signum == signal.SIGINT else 128 + signum
    return 0 if keys in ready and os.read(keys, 1) in {b"q", b"Q", b""} else None


def _screen(status: dict[str, Any], before: dict[str, Any] | None = None) -> Group:
    title, *more = view.headlines(status)
    return Group(
        Text(title, style="bold", no_wrap=True),
        *(Text(each, style="red") for each in more),
        Text(),
        _table(view.SERVICES, view.services(status)),
        Text(),
        _table(view.WORKERS, view.workers(status, before)),
    )


def _table(columns: tuple[view.Column, ...], records: list[view.Record]) -> Table:
    table = Table(*view.head(columns), box=None, padding=(0, 2, 0, 0), header_style="bold reverse")
    for cells in view.rows(columns, records):
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    return table
