"""What the commands load that ask the supervisor: the healthcheck runs every few seconds of a container's life."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import launcher

HOME = Path(launcher.__file__).parents[1]
SITE = str(Path(pytest.__file__).parents[1])
HEAVY = {
    "typing",
    "json",
    "socket",
    "pathlib",
    "re",
    "dataclasses",
    "enum",
    "signal",
    "rich",
    "oslo_config",
    "eventlet",
}


def loaded_by(command: str) -> set[str]:
    code = (
        "import sys; before = set(sys.modules); sys.path[:0] = sys.argv[1:3]\n"
        f"import launcher.cli.{command} as command\n"
        "command.main(['--runtime-dir', '/nowhere'])\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    arguments = [sys.executable, "-IS", "-c", code, str(HOME), SITE]
    return set(subprocess.check_output(arguments, text=True, stderr=subprocess.DEVNULL).split())


def test_the_healthcheck_loads_next_to_nothing():
    assert not loaded_by("healthcheck") & HEAVY


@pytest.mark.parametrize("command", ["status", "scale", "reload", "stop"])
def test_only_top_loads_what_draws_on_terminals(command):
    assert not loaded_by(command) & {"rich", "oslo_config", "eventlet"}
