"""What `launcher exec` loads before its command runs: each module is start-up time of every container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bin" / "launcher"
# What a bare `python -I -S` has loaded already, and what every one of these costs nothing but a table entry.
BUILT_IN = {"_signal", "posix", "sys", "gc", "time"}
OURS = 11


def loaded_before_fork() -> set[str]:
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1])\n"
        "import launcher.__main__, launcher.cli.exec\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = str(SCRIPT.parents[1])
    return set(subprocess.check_output([sys.executable, "-IS", "-c", code, root], text=True).split())


def test_nothing_but_our_own_and_builtins():
    assert {name for name in loaded_before_fork() if not name.startswith("launcher")} <= BUILT_IN


def test_no_more_of_our_own_than_it_takes():
    assert len([name for name in loaded_before_fork() if name.startswith("launcher")]) <= OURS
