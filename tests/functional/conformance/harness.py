"""An init under test, started in a PID namespace, and a handle on it while it runs.

As PID 1 it has a namespace of its own.  Not as PID 1 it enters one that a `Keeper` holds, so that whatever it leaves
behind, or kills by mistake, is within reach and not the machine's.
"""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.functional import proc
from tests.functional.program import AS_PID1, USER_NAMESPACE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

for _signum in (signal.SIGINT, signal.SIGQUIT):  # a script's background job ignores both, and would pass that on
    if signal.getsignal(_signum) == signal.SIG_IGN:
        signal.signal(_signum, signal.SIG_DFL)
PATIENCE = float(os.environ.get("CONFORMANCE_PATIENCE", "10"))  # seconds, for what takes milliseconds when it works
HERE = Path(__file__).parent
ISOLATED = (sys.executable, "-I", "-S")
PAYLOAD = (*ISOLATED, str(HERE / "payload.py"))
PREPARE = (*ISOLATED, str(HERE / "prepare.py"))
ENTER = ("nsenter", *(("--user", "--preserve-credentials") if USER_NAMESPACE else ()), "--pid", "--mount")


def init_under_test() -> tuple[str, ...]:
    """Return the words before a command; the program is found now, whatever PATH a test gives it."""
    default = shlex.join([str(Path(sys.executable).parent / "launcher"), "exec", "--"])
    program, *arguments = shlex.split(os.environ.get("INIT_UNDER_TEST") or default)
    return (shutil.which(program) or program, *arguments)


INIT = init_under_test()
IS_LAUNCHER = Path(INIT[0]).name == "launcher"


class Pairs:
    """An environment as `subprocess` takes it, but in our order and with names that occur twice."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = list(pairs)

    def items(self) -> list[tuple[bytes, bytes]]:
        """Return what `subprocess` goes through."""
        return self._pairs


class Keeper:
    """A PID namespace that stays while inits come and go in it; it reaps what they leave."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [*AS_PID1, *PAYLOAD, "keeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._popen.stdout.readline()
        [self.pid] = proc.children(self._popen.pid)
        self._namespace = self._namespace_of(self.pid)

    @staticmethod
    def _namespace_of(pid: int | str) -> int:
        try:
            return Path(f"/proc/{pid}/ns/pid").stat().st_ino
        except OSError:
            return 0

    def guests(self) -> list[int]:
        """Return the PIDs, as we see them, of all others in the namespace that have not ended."""
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if pid != self.pid and self._namespace_of(pid) == self._namespace]

    def clear(self) -> None:
        """End all others in the namespace."""
        while guests := self.guests():
            for pid in guests:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def close(self) -> None:
        """End the namespace."""
        self.clear()
        self._popen.communicate(timeout=PATIENCE)


class Running:
    """An init that runs, or has run."""

    def __init__(self, popen: subprocess.Popen[bytes], errors: Path) -> None:
        self._popen, self._errors, self._unread = popen, errors, b""

    @property
    def pid(self) -> int:
        """The init's PID as we see it: the one child of the program that made or entered the namespace."""
        return self._await(lambda: proc.children(self._popen.pid), "the init's start")[0]

    @property
    def command(self) -> int:
        """The PID of the init's first child."""
        return self._await(lambda: proc.children(self.pid), "the command")[0]

    @staticmethod
    def _await(condition: Callable[[], Any], what: str) -> Any:
        return wait_for(condition, what, PATIENCE)

    def send(self, *signums: int) -> None:
        """Send the init signals, one after the other."""
        pid = self.pid
        for signum in signums:
            os.kill(pid, signum)

    def tell(self, line: str) -> None:
        """Write a line to the command."""
        self._popen.stdin.write(line.encode() + b"\n")

    def order(self, line: str) -> list[str]:
        """Have the payload do something; return what was said meanwhile."""
        self.tell(line)
        return self.lines_until("done")

    def line(self) -> str:
        """Return the next line of its stdout."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._unread:
            if not (more := self._read(deadline)):
                raise AssertionError(f"output ended with {self._unread!r}")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def lines_until(self, last: str) -> list[str]:
        """Return the lines before a certain one."""
        return list(iter(self.line, last))

    def rest(self) -> bytes:
        """Return what is left of its stdout, up to its end."""
        deadline = time.monotonic() + PATIENCE
        rest, self._unread = self._unread, b""
        while more := self._read(deadline):
            rest += more
        return rest

    def _read(self, deadline: float) -> bytes:
        readable, _, _ = select.select([self._popen.stdout], [], [], max(0, deadline - time.monotonic()))
        assert readable, f"no output for {PATIENCE} s after {self._unread!r}"
        return os.read(self._popen.stdout.fileno(), 1 << 16)

    def code(self) -> int:
        """Wait for the end and return the exit status, negative if the init itself was killed."""
        try:
            return self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"has not ended within {PATIENCE} s") from None

    def errors(self) -> str:
        """Return what is on stderr so far."""
        return self._errors.read_text(errors="replace")

    def close(self) -> None:
        """End it, whatever it does."""
        while self._popen.poll() is None:
            for pid in proc.children(self._popen.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.send_signal(signal.SIGCONT)  # nsenter(1) stops when its child does
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(0.01)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()


class Starter:
    """Starts inits in one folder, as PID 1 or not.

    Parameters: the folder; the namespace to enter, or None to be PID 1 of a new one.
    """

    def __init__(self, folder: Path, keeper: Keeper | None) -> None:
        self.folder, self.keeper = folder, keeper
        self._running: list[Running] = []

    def __call__(
        self,
        *command: str | bytes,
        init: Sequence[str] = INIT,
        prepared: Sequence[str] = (),
        outer: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        **popen: Any,
    ) -> Running:
        """Start the init with a command.

        Parameters: the command; other words for the init, none for the bare command; what `prepare.py` does first;
        a command around the init; variables beside this process's; what `Popen` takes.
        """
        wrapped = [*outer, *init, *command]
        if prepared:
            program = shutil.which(wrapped[0]) or wrapped[0]
            wrapped = [*PREPARE, *prepared, "--", program, *wrapped[1:]]
        errors = self.folder / f"stderr-{len(self._running)}"
        with errors.open("wb") as stderr:
            streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr}
            options = {"cwd": self.folder, "env": {**os.environ, **(environment or {})}, "bufsize": 0}
            options |= streams | popen
            process = subprocess.Popen([*self._namespace(options["cwd"]), *wrapped], **options)
        self._running.append(Running(process, errors))
        return self._running[-1]

    def payload(self, *role: str, **options: Any) -> Running:
        """Start the init with the payload as its command, and wait until that is ready."""
        running = self(*PAYLOAD, *role, **options)
        assert running.line() == "ready", running.errors()
        return running

    def _namespace(self, cwd: Path) -> list[str]:
        entering = [*ENTER, f"--wdns={cwd}", "--target", str(self.keeper.pid)] if self.keeper else AS_PID1
        program, *options = entering
        return [shutil.which(program) or program, *options]

    def close(self) -> None:
        """End all; what they said on stderr is shown when the test has failed."""
        for number, running in enumerate(self._running):
            running.close()
            print(f"--- stderr of start {number}\n{running.errors()}")  # noqa: T201 - for pytest
        if self.keeper:
            self.keeper.clear()
