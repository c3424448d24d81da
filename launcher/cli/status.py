"""`launcher status [--json]`: what the supervisor of this container says of itself, its services and its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher.cli import client, view
from launcher.cli.table import table
from launcher.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USAGE = "usage: launcher status [--json] [--runtime-dir FOLDER]"


def main(argv: Sequence[str]) -> int:
    """Show the status; return the exit code."""
    return client.run(_status, argv, USAGE)


def _status(words: list[str], runtime_dir: str) -> int:
    if words not in ([], ["--json"]):
        raise UsageError(f"cannot make sense of {' '.join(words)}; {USAGE}")
    status = client.told({"command": "status"}, runtime_dir)
    if words:
        import json

        print(json.dumps(status, indent=2))
    else:
        print("\n".join(text(status)))
    return 0


def text(status: dict[str, Any]) -> Iterator[str]:
    """Yield the lines for people."""
    yield from view.headlines(status)
    for columns, records in ((view.SERVICES, view.services(status)), (view.WORKERS, view.workers(status))):
        if records:
            yield ""
            yield from table(view.head(columns), view.rows(columns, records))
