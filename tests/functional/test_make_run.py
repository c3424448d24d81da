"""`make run`, as README's quick start has it: at a terminal, and ended by Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.functional.cases import both_backends
from tests.functional.program import reserved_port
from tests.functional.waiting import PATIENCE, wait_for

ROOT = Path(__file__).parents[2]
CTRL_C = b"\x03"


def answer(port: int) -> int | None:
    """PID of the worker that answers, or None where nobody does."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
            return json.load(page)["pid"]
    except urllib.error.URLError:
        return None


def answering(port: int) -> set[int]:
    return {pid for _ in range(20) if (pid := answer(port))}


@both_backends
def test_make_run_serves_from_four_workers_until_ctrl_c(tmp_path: Path, backend: str) -> None:
    keyboard, terminal = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment.update(LAUNCHER_RUNTIME_DIR=str(tmp_path), OS_LAUNCHER__BACKEND=backend)
    with reserved_port() as port:
        command = ["setsid", "--ctty", "make", "run", f"ARGS=--listen 127.0.0.1:{port}"]
        make = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)
        try:
            seen: set[int] = set()
            wait_for(lambda: seen.update(answering(port)) or len(seen) == 4, "answers from 4 workers")
            os.write(keyboard, CTRL_C)
            assert make.wait(PATIENCE) == 0
            assert not any(Path(f"/proc/{pid}").exists() for pid in seen)
            assert answer(port) is None
        finally:
            make.kill()
            make.wait(PATIENCE)
            print(everything_on(keyboard))  # noqa: T201 - pytest shows it on failure


def everything_on(keyboard: int) -> str:
    """Read what the terminal has shown, until nobody holds its other end."""
    shown = b""
    with suppress(OSError):  # EIO is the end of a pseudo-terminal
        while more := os.read(keyboard, 65536):
            shown += more
    os.close(keyboard)
    return shown.decode(errors="replace")
