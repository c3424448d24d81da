"""`launcher reload [--wait]`: take up configuration and code anew, as HUP does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.cli import client
from launcher.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher reload [--wait] [--runtime-dir FOLDER]"


def main(argv: Sequence[str]) -> int:
    """Reload; return the exit code."""
    return client.run(_reload, argv, USAGE)


def _reload(words: list[str], runtime_dir: str) -> int:
    if words not in ([], ["--wait"]):
        raise UsageError(f"cannot make sense of {' '.join(words)}; {USAGE}")
    patience = None if words else client.PATIENCE
    reply = client.told({"command": "reload", "wait": bool(words)}, runtime_dir, patience)
    generation = reply["generation"]
    if generation is None:
        print("the workers were asked to reset: reload_method = reset")
    else:
        print(f"generation {generation}: {'in force and ready' if words else 'asked for'}")
    return 0
