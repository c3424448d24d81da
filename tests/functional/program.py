"""The real program, run by a test as PID 1 of a PID namespace of its own, or as an ordinary process.

Guarantees: when a `Program` is closed nothing that it started is left, and nothing else was touched.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.functional import load, proc
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

LAUNCHER = (sys.executable, "-m", "launcher")
USER_NAMESPACE = () if os.geteuid() == 0 else ("--user", "--map-root-user")
NEW_NAMESPACE = ("unshare", *USER_NAMESPACE, "--pid", "--fork", "--kill-child")
AS_PID1 = (*NEW_NAMESPACE, "--mount-proc")
MARK = "LAUNCHER_TEST"
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ +launcher\[\d+\] .*\n")

NOTES = '''
import os, sys, time
from pathlib import Path

real_sleep = time.sleep
if "eventlet.patcher" in sys.modules:
    real_sleep = sys.modules["eventlet.patcher"].original("time").sleep  # stops all of the process's green threads


def note(*words):
    """Tell the test something."""
    with open("notes", "a") as notes:
        print(*words, file=notes)


def wait_for_gate(sleep=time.sleep):
    """Go on when the test says so."""
    while not Path("gate").exists():
        sleep(0.02)
'''


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that nobody else is given: the kernel lets only those bind it who ask for it by number."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


class Program:
    """A launcher, its application and its configuration, in a folder of its own.

    Parameters: the folder; the port for `listen`; whether to be PID 1; what the workers run on.
    """

    def __init__(self, folder: Path, port: int, *, pid1: bool, backend: str = "eventlet") -> None:
        self.folder, self.port, self.pid1, self.backend = folder, port, pid1, backend
        self.conf = folder / "launcher.conf"
        self.mark = uuid.uuid4().hex
        self.pid = 0  # of the supervisor, as we see it
        self.process: subprocess.Popen[bytes] | None = None
        self._output = folder / "output"

    # Before

    def write_app(self, source: str, name: str = "app.py") -> None:
        """Write the application.  Written again it must differ in length: Python's cache compares size and second."""
        self.folder.joinpath(name).write_text(NOTES + source)

    def configure(self, **options: object) -> None:
        """Write the configuration; `listen` is our port unless it is given as None."""
        options.setdefault("listen", f"127.0.0.1:{self.port}")
        if self.backend != "eventlet":
            options.setdefault("backend", self.backend)
        lines = [f"{name} = {value}" for name, value in options.items() if value is not None]
        self.conf.write_text("\n".join(["[launcher]", *lines, ""]))

    def environment(self, **more: str | None) -> dict[str, str]:
        """Return an environment that hides the tester's own; None leaves a variable out."""
        environ: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LAUNCHER_RUNTIME_DIR": str(self.folder),
            MARK: self.mark,
            **more,
        }
        return {name: value for name, value in environ.items() if value is not None}

    def start(
        self,
        *,
        outside: Sequence[str] = (),
        namespace: Sequence[str] | None = None,
        inside: Sequence[str] = (),
        environ: Mapping[str, str | None] = {},
        **popen: Any,
    ) -> None:
        """Start it.

        `outside` and `inside` are commands that exec the rest of their command line, before and in the
        namespace; `namespace` is another way into one.
        """
        if namespace is None:
            namespace = AS_PID1 if self.pid1 else ()
        arguments = ("run", "--config-file", str(self.conf))
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [*outside, *namespace, *inside, *LAUNCHER, *arguments],
                cwd=self.folder,
                env=self.environment(**environ),
                **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **popen},
            )
        self.pid = self._find_pid() if namespace else self.process.pid

    def _find_pid(self) -> int:
        found = wait_for(lambda: proc.children(self.process.pid) or self.ended(), "the process in the namespace")
        return 0 if found is True else found[0]

    def serve(self, source: str, **options: object) -> None:
        """Write application and configuration, start, and wait until everything is ready."""
        self.write_app(source)
        self.configure(**options)
        self.start()
        self.wait_ready()

    # What it says

    def show(self) -> None:
        """Print the output for pytest, which shows it when the test has failed."""
        print(f"--- output of {self.folder}\n{self.output()}")  # noqa: T201

    def output(self) -> str:
        """Return everything that was written to stdout and stderr."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""

    def stacks(self) -> str:
        """Return the output without the log: a line of it is one write(2), but can fall into the middle of stacks."""
        return LOG_LINE.sub("", self.output())

    def errors(self) -> list[str]:
        """Return the program's own error lines."""
        return [line for line in self.output().splitlines() if line.startswith("launcher: error: ")]

    def wait_for_output(self, pattern: str) -> re.Match[str]:
        """Wait for something to be said."""
        return self.wait_for(lambda: re.search(pattern, self.output()), f"output like {pattern}")

    def notes(self) -> list[str]:
        """Return what the application has noted."""
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def close_gate(self) -> None:
        """Let nothing more go on that waits for the gate."""
        (self.folder / "gate").unlink()

    def wait_for_notes(self, word: str, count: int = 1) -> list[str]:
        """Wait for so many notes that begin with a word; return them."""

        def found() -> list[str]:
            notes = [note for note in self.notes() if note.split()[0] == word]
            return notes if len(notes) >= count else []

        return self.wait_for(found, f"{count} notes of {word}")

    def open_gate(self) -> None:
        """Let everything go on that waits for the gate."""
        (self.folder / "gate").touch()

    def get(self, path: str = "/", tls: ssl.SSLContext | None = None) -> tuple[int, str]:
        """Ask by HTTP, or HTTPS; return status and body."""
        return load.get(self.port, path, tls)

    # What the supervisor says

    def ask(self, command: str, **more: object) -> dict[str, Any]:
        """Ask at the control socket; nothing if nobody answers there."""
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError, ValueError):
            client.settimeout(5)
            client.connect(str(self.folder / "launcher.sock"))
            client.sendall(json.dumps({"command": command, **more}).encode() + b"\n")
            return json.loads(client.makefile().readline())
        return {}

    def workers(self, *, generation: int | None = None, service: str | None = None) -> list[int]:
        """PIDs, as the supervisor sees them, of the workers that are ready; slot by slot."""
        return ready_workers(self.ask("status"), generation=generation, service=service)

    def complete_workers(self) -> list[int]:
        """PIDs of the workers if all services have as many as they shall have, and there is no other; else none."""
        status = self.ask("status")
        services = status.get("services", {}).values()
        complete = all(service["ready"] == service["target"] for service in services)
        ready = ready_workers(status) if complete else []
        return ready if len(ready) == len(status.get("workers", ())) else []

    def wait_ready(self, count: int | None = None) -> list[int]:
        """Wait until everything is ready, and there are so many workers; return them."""

        def found() -> list[int]:
            workers = self.complete_workers()
            return workers if count in {None, len(workers)} else []

        return self.wait_for(found, f"{count or 'all'} workers to be ready")

    def wait_replaced(self, old: Sequence[int]) -> list[int]:
        """Wait until none of these workers is left and everything is ready again; return who is there now."""

        def found() -> list[int]:
            workers = self.complete_workers()
            return [] if set(workers) & set(old) else workers

        return self.wait_for(found, "other workers")

    # Its processes

    def outer(self, pid: int) -> int:
        """Translate a PID of the supervisor's namespace to ours; 0 if it is gone."""
        if not self.pid1:
            return pid
        return next((each for each in [self.pid, *proc.descendants(self.pid)] if proc.inner(each) == pid), 0)

    def signal(self, signum: int, pid: int | None = None) -> None:
        """Send a signal, to the supervisor or to a PID of its namespace."""
        target = self.pid if pid is None else self.outer(pid)
        assert target, f"process {pid} is gone"  # 0 would be our own process group
        os.kill(target, signum)

    def wait_for(self, condition: Any, what: str) -> Any:
        """Wait for a condition, no longer than the program lives."""
        value = wait_for(lambda: (found := condition()) or (self.ended() and Ended()) or found, what)
        if isinstance(value, Ended) and not (value := condition()):
            raise AssertionError(f"ended with {self.process.poll()} instead of {what}")
        return value

    def ended(self) -> bool:
        """Whether the program is over."""
        return self.process is not None and self.process.poll() is not None

    def wait_ended(self) -> int:
        """Return the exit code."""
        wait_for(self.ended, "the end of the program")
        return self.process.returncode

    def stop(self) -> int:
        """Ask it to end; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait_ended()

    def left(self) -> list[str]:
        """Return the command lines of all processes that are still there."""
        return [proc.command(pid) or f"process {pid}" for pid in proc.marked(self.mark)]

    def wait_nothing_left(self) -> None:
        """Wait until there is no process any more: the kernel may need a moment after the program's end."""
        wait_for(lambda: not self.left(), "no process to be left")

    def close(self) -> None:
        """End what is left, hard."""
        if self.process is None:
            return
        for pid in [self.pid, self.process.pid]:  # with PID 1 the kernel ends its namespace
            if pid and not self.ended():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_for(self._kill_marked, "the processes to be gone")

    def _kill_marked(self) -> bool:
        pids = proc.marked(self.mark)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids


def ready_workers(status: dict[str, Any], *, generation: int | None = None, service: str | None = None) -> list[int]:
    """PIDs out of an answer to `status`."""
    workers = sorted(status.get("workers", ()), key=lambda worker: (worker["service"], worker["slot"]))
    return [
        worker["pid"]
        for worker in workers
        if worker["stage"] == "ready"
        and generation in {None, worker["generation"]}
        and service in {None, worker["service"]}
    ]


class Ended:
    """Stands for a condition that cannot come true any more."""


def launcher(program: Program, *arguments: str, **environ: str | None) -> subprocess.CompletedProcess[str]:
    """Run another command of the launcher beside a program, to its end."""
    return subprocess.run(
        [*LAUNCHER, *arguments],
        cwd=program.folder,
        env=program.environment(**environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
