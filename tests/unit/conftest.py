"""What several unit tests need."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30  # seconds; for what takes a fraction of one


@pytest.fixture
def python() -> Callable[..., str]:
    """Run code in a Python of its own, where signals and forks disturb nobody; return what it printed."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout

    return run
