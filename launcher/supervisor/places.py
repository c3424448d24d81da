"""Where the control socket may be; imported by the healthcheck too, so it imports next to nothing."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME = "launcher.sock"
NAME_MAX = 60  # characters of a folder that an abstract name has room for; unix(7)


def folders(runtime_dir: str) -> Iterator[str]:
    """Yield the folders to try, best first: what was asked for alone, or the usual ones."""
    if wanted := _wanted(runtime_dir):
        yield wanted
        return
    yield "/run/launcher"
    yield f"/tmp/launcher-{os.geteuid()}"  # noqa: S108 - used only if it is ours, see control.py


def abstract_name(runtime_dir: str) -> str:
    """Return the address where no folder is writable, the same for all in our PID namespace that ask for this one.

    Whoever has said where to look shall never meet the supervisor of somewhere else.
    """
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    wanted = _wanted(runtime_dir)
    folder = f"-{os.path.abspath(wanted)[-NAME_MAX:]}" if wanted else ""
    return f"\0launcher-{namespace}-{os.geteuid()}{folder}"


def _wanted(runtime_dir: str) -> str:
    return runtime_dir or os.environ.get("LAUNCHER_RUNTIME_DIR", "")
