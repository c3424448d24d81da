"""Small programs that use the launchers themselves, and a handle on each while it runs.

A script notes what happens to it as lines of one file; a test waits for lines, never for a time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.program import AS_PID1, MARK
from tests.functional.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PREAMBLE = '''
import os, random, signal, sys, time
from pathlib import Path

from oslo_config import cfg

import launcher

HERE = Path(__file__).parent


def note(*words):
    """One line in one write, so that no process tears another's."""
    with open(HERE / "notes", "ab", buffering=0) as notes:
        notes.write((" ".join(map(str, words)) + "\\n").encode())


def until_told(name):
    """Block the process until the test has made a file."""
    while not (HERE / name).exists():
        time.sleep(0.005)


conf = cfg.ConfigOpts()
conf.register_opts([cfg.StrOpt("colour", default="none", mutable=True)])
conf([], default_config_files=[str(HERE / "script.conf")])


class Recorder:
    """A service of oslo.service's shape, of no class of ours."""

    name = "service"

    def start(self):
        note(self.name, "start", os.getpid(), conf.colour)

    def stop(self):
        note(self.name, "stop", os.getpid())

    def wait(self):
        note(self.name, "wait", os.getpid())

    def reset(self):
        note(self.name, "reset", os.getpid(), conf.colour)


class Other(Recorder):
    name = "other"
'''

RECORDER = """
    running = launcher.launch(conf, Recorder())
    note("waits")
    sys.exit(running.wait())
"""


TWO_WORKERS = """
    running = launcher.ProcessLauncher(conf)
    running.launch_service(Recorder(), workers=2)
    note("waits")
    sys.exit(running.wait())
"""


class Script:
    """A script in a folder of its own; `before` is put before its imports, `options` into its configuration.

    `by` are Python's arguments before the name of the script.
    """

    def __init__(
        self, folder: Path, source: str, *, pid1: bool, backend: str, before: str, by: Sequence[str], **options: object
    ) -> None:
        self.folder, self._backend = folder, backend
        self.configure(**options)
        (folder / "script.py").write_text(f"{before}\n{PREAMBLE}\n{textwrap.dedent(source)}")
        self._mark = f"{MARK}={uuid.uuid4()}"
        with (folder / "stderr").open("wb") as errors:
            self._popen = subprocess.Popen(
                [*(AS_PID1 if pid1 else ()), sys.executable, *by, "script.py"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, MARK: self._mark.partition("=")[2], "PYTHONWARNINGS": "ignore"},
                start_new_session=True,
            )
        self.pid = wait_for(lambda: proc.children(self._popen.pid), "PID 1")[0] if pid1 else self._popen.pid

    def configure(self, colour: str = "red", **options: object) -> None:
        """Write the script's config file; it reads the new one when told to."""
        if self._backend != "eventlet":
            options.setdefault("backend", self._backend)
        lines = ["[DEFAULT]", f"colour = {colour}", "[launcher]", f"runtime_dir = {self.folder}"]
        lines += [f"{name} = {value}" for name, value in options.items()]
        (self.folder / "script.conf").write_text("\n".join(lines) + "\n")

    def tell(self, name: str) -> None:
        """Let `until_told(name)` go on."""
        (self.folder / name).touch()

    def notes(self, *start: str) -> list[list[str]]:
        """Return what was noted so far, of those lines that start so."""
        notes = self.folder / "notes"
        lines = [line.split() for line in notes.read_text().splitlines()] if notes.exists() else []
        return [line for line in lines if line[: len(start)] == list(start)]

    def wait_for_notes(self, *start: str, count: int = 1) -> list[list[str]]:
        """Wait until so many lines start so, and return them."""
        wait_for(lambda: len(self.notes(*start)) >= count, f"{count} lines {' '.join(start)!r}")
        return self.notes(*start)

    def errors(self) -> str:
        """Return what is on stderr so far."""
        return (self.folder / "stderr").read_text()

    def wait_for_errors(self, text: str, count: int = 1) -> None:
        """Wait until stderr says so, so often."""
        wait_for(lambda: self.errors().count(text) >= count, f"{text!r} on stderr")

    def workers(self) -> list[int]:
        """Return the PIDs of its living children, as this test sees them."""
        return [pid for pid in proc.children(self.pid) if lives(pid)]

    def send(self, signum: int) -> None:
        """Send a signal to the launcher, not to its workers."""
        os.kill(self.pid, signum)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.send(signum)
        return self.end()

    def end(self) -> int:
        """Wait for the end; return the exit code.  Nothing may be left behind."""
        code = self._popen.wait(PATIENCE)
        assert not self._left()
        return code

    def close(self) -> None:
        """End whatever is left of it."""
        while left := self._left():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)

    def _left(self) -> list[int]:
        return [pid for pid in proc.marked(self._mark) if lives(pid)]


@contextmanager
def starter(folder: Path) -> Iterator[Callable[..., Script]]:
    """Yield a function that starts a script; it is gone afterwards."""
    started: list[Script] = []

    def start(
        source: str,
        *,
        pid1: bool = False,
        backend: str = "eventlet",
        before: str = "",
        by: Sequence[str] = (),
        **options: object,
    ) -> Script:
        started.append(Script(folder, source, pid1=pid1, backend=backend, before=before, by=by, **options))
        return started[-1]

    try:
        yield start
    finally:
        for script in started:
            script.close()
            sys.stdout.write(
                f"--- notes\n{script.notes()}\n--- stderr\n{script.errors()}\n"
            )  # shown when the test has failed


def lives(pid: int) -> bool:
    """Whether a process is there and has not ended; nobody may be there to reap it."""
    return proc.field(pid, "State")[:1] not in {"", "Z", "X"}


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of them lives."""
    wait_for(lambda: not any(map(lives, pids)), f"the end of {pids}")


def started(script: Script, count: int, name: str = "service") -> list[int]:
    """Wait for so many starts; return the PIDs in their order."""
    return [int(line[2]) for line in script.wait_for_notes(name, "start", count=count)]
