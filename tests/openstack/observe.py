"""What can be seen of PID 1 and its children from inside the container, without disturbing them; prints JSON.

Usage: observe.py workers | respawn PID | switches SECONDS | catches SIGNAL | orphans COUNT
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

PATIENCE = 10.0  # seconds
STEP = 0.002  # seconds between two looks


def children(*states: str) -> set[int]:
    """Return the children of PID 1 that are in one of these states, or else the living."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name may have spaces and parentheses in it.
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == "1" and (state in states if states else state not in "ZX"):
            found.add(int(folder.name))
    return found


def workers() -> list[int]:
    return sorted(children())


def respawn(pid: str) -> float | None:
    """Kill a child of PID 1 and return the seconds until there is another; None if there will be none."""
    before = children()
    begun = time.monotonic()
    os.kill(int(pid), signal.SIGKILL)
    while time.monotonic() - begun < PATIENCE:
        if children() - before:
            return time.monotonic() - begun
        time.sleep(STEP)
    return None


def switches(seconds: str) -> int:
    """Return how often the threads of PID 1 were switched to in so many seconds."""
    before = switched()
    time.sleep(float(seconds))
    return switched() - before


def switched() -> int:
    lines = [line for task in Path("/proc/1/task").iterdir() for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def catches(signum: str) -> bool:
    """Return whether PID 1 has a handler of a signal."""
    caught = next(line for line in Path("/proc/1/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (int(signum) - 1) & 1)


def orphans(count: str) -> int:
    """Leave so many orphans to PID 1, in sessions of their own; return how many zombies stay."""
    alive, held = os.pipe()
    for _ in range(int(count)):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while os.getppid() != 1:
                    time.sleep(STEP)
            os._exit(0)
        os.wait()
    os.close(held)
    os.read(alive, 1)  # returns when the last one has found its way to PID 1 and ended
    deadline = time.monotonic() + 2
    while children("Z") and time.monotonic() < deadline:
        time.sleep(STEP)
    return len(children("Z"))


if __name__ == "__main__":
    question, *arguments = sys.argv[1:]
    asked = {each.__name__: each for each in (workers, respawn, switches, catches, orphans)}[question]
    json.dump(asked(*arguments), sys.stdout)
