"""What `launcher exec` loads before its command runs: each module is start-up time of every container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import launcher

HOME = Path(launcher.__file__).parents[1]
# What a bare `python -I -S` has loaded already, and what every one of these costs nothing but a table entry.
BUILT_IN = {"_signal", "posix", "sys", "gc", "time"}
# What is for options, for messages, and for what comes after the command has started.
LATER = {f"launcher.init.{name}" for name in ("options", "grammar", "dialects", "report", "loop", "inbox")}


def loaded_before_fork() -> set[str]:
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1])\n"
        "import launcher.__main__, launcher.init.command\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    return set(subprocess.check_output([sys.executable, "-IS", "-c", code, str(HOME)], text=True).split())


def test_nothing_but_our_own_and_builtins():
    assert {name for name in loaded_before_fork() if not name.startswith("launcher")} <= BUILT_IN


def test_what_comes_later_is_imported_later():
    assert not loaded_before_fork() & LATER
