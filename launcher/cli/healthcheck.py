"""`launcher healthcheck [--ready|--live]`: exit 0 if the supervisor of this container says so, else 1.

A container runtime runs it every few seconds, so it imports next to nothing.
"""

from __future__ import annotations

import sys

from launcher.cli import client
from launcher.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "usage: launcher healthcheck [--ready | --live] [--runtime-dir FOLDER]"


def main(argv: Sequence[str]) -> int:
    """Ask the supervisor; return the exit code."""
    return client.run(_check, argv, USAGE)


def _check(words: list[str], runtime_dir: str) -> int:
    if words not in ([], ["--ready"], ["--live"]):
        raise UsageError(f"cannot make sense of {' '.join(words)}; {USAGE}")
    question = "live" if words == ["--live"] else "ready"
    if b'"ok": true' in client.exchange(b'{"command": "%s"}' % question.encode(), runtime_dir):
        print(f"{question}: yes")
        return 0
    print(f"{question}: no", file=sys.stderr)
    return 1
