"""Where the control socket may be; imported by the healthcheck too, so it imports next to nothing."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME = "launcher.sock"


def folders(runtime_dir: str) -> Iterator[str]:
    """Yield the folders to try, best first: what was asked for alone, or the usual ones."""
    runtime_dir = runtime_dir or os.environ.get("LAUNCHER_RUNTIME_DIR", "")
    if runtime_dir:
        yield runtime_dir
        return
    yield "/run/launcher"
    yield f"/tmp/launcher-{os.geteuid()}"  # noqa: S108 - used only if it is ours, see control.py


def abstract_name() -> str:
    """Return the address where no folder is writable, the same for all in our PID namespace."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"\0launcher-{namespace}-{os.geteuid()}"
