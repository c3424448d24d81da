"""`launcher stop`: end the supervisor of this container gracefully, as TERM does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli import client
from launcher.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher stop [--runtime-dir FOLDER]"


def main(argv: Sequence[str]) -> int:
    """Ask for the end; return the exit code."""
    return client.run(_stop, argv, USAGE)


def _stop(words: list[str], runtime_dir: str) -> int:
    if words:
        raise UsageError(f"cannot make sense of {' '.join(words)}; {USAGE}")
    client.told({"command": "stop"}, runtime_dir)
    print("stopping")
    return 0
