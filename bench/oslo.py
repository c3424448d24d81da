"""The same oslo.service program under oslo.service and under launcher.oslo, on both backends, in one run.

Usage: python -m bench.oslo [--idle 10] [--patience 25] [--crashing 20]

Each is PID 1 of a PID namespace, so it needs root.  All four are measured at the same time: nothing here depends on
how fast the machine is.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = str(Path(__file__).with_name("oslo_program.py"))
AS_PID_1 = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
OSLO = (sys.executable, "-W", "ignore")
LAUNCHER = (*OSLO, "-m", "launcher.oslo")
PEERS = {
    "launcher.oslo eventlet": (LAUNCHER, "eventlet"),
    "launcher.oslo threading": (LAUNCHER, "threading"),
    "oslo.service eventlet": (OSLO, "eventlet"),
    "oslo.service threading": (OSLO, "threading"),
}
START = 60.0  # seconds that a start may take
TIMEOUT = 3  # graceful_shutdown_timeout, where it is to be exceeded
STEP = 0.01  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Run:
    """The program as PID 1 of a PID namespace: the process that made it, and where each start of a service is noted."""

    process: subprocess.Popen[bytes]
    stamps: Path

    @property
    def pid(self) -> int:
        """PID 1, by its PID here."""
        return children(self.process.pid)[0]

    def starts(self) -> int:
        return len(self.stamps.read_text().splitlines())

    def await_starts(self, count: int) -> None:
        deadline = time.monotonic() + START
        while self.starts() < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"{self.starts()} of {count} services started: {self.process.args!r}")
            time.sleep(STEP)
        time.sleep(1)  # until what is done once after a start is done

    def term(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def end(self, patience: float) -> str:
        """Wait for the end; return how long it took and the exit code."""
        begun = time.monotonic()
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return f"not in {patience:.0f} s"
        return f"{time.monotonic() - begun:.2f} s, code {code if code >= 0 else 128 - code}"


@contextmanager
def running(peer: str, service: str, workers: int, **options: int) -> Iterator[Run]:
    """Run a service; options are those of oslo.service."""
    command, backend = PEERS[peer]
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder, "stamps")
        stamps.touch()
        environment = {
            **os.environ,
            **{f"OS_DEFAULT__{name.upper()}": str(value) for name, value in options.items()},
            "BACKEND": backend,
            "STAMPS": str(stamps),
            "LAUNCHER_RUNTIME_DIR": folder,
        }
        argv = (*AS_PID_1, *command, PROGRAM, service, str(workers))
        nothing = subprocess.DEVNULL
        with subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=nothing, stdout=nothing, stderr=nothing
        ) as process:
            try:
                yield Run(process, stamps)
            finally:
                process.kill()  # and with it PID 1 and all that it has


def idle(seconds: float, peer: str) -> str:
    """Count how often the threads of PID 1 are switched to."""
    with running(peer, "Idle", 2) as run:
        run.await_starts(2)
        before = switches(run.pid)
        time.sleep(seconds)
        return str(switches(run.pid) - before)


def draining(peer: str) -> str:
    """Return what part of a CPU PID 1 wants while its workers finish."""
    with running(peer, "Draining", 2) as run:
        run.await_starts(2)
        run.term()
        time.sleep(0.5)
        before = cpu(run.pid)
        time.sleep(2)
        return f"{(cpu(run.pid) - before) / 2:.0%}"


def single(patience: float, peer: str) -> str:
    with running(peer, "Idle", 1) as run:
        run.await_starts(1)
        run.term()
        return run.end(patience)


def orphans(peer: str) -> str:
    with running(peer, "Leaving", 2) as run:
        run.await_starts(2)
        time.sleep(1)
        return str(sum(is_zombie(pid) for pid in children(run.pid)))


def exceeded(patience: float, peer: str) -> str:
    with running(peer, "Stuck", 2, graceful_shutdown_timeout=TIMEOUT) as run:
        run.await_starts(2)
        run.term()
        return run.end(patience)


def crashing(seconds: float, peer: str) -> str:
    with running(peer, "Crashing", 2) as run:
        end = run.end(seconds)
        return f"{run.starts()}, then goes on" if end.startswith("not") else f"{run.starts()}, ends after {end}"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_zombie(pid: int) -> bool:
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def switches(pid: int) -> int:
    statuses = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(count) for status in statuses for count in re.findall(r"ctxt_switches:\s*(\d+)", status))


def cpu(pid: int) -> float:
    """Return the seconds in which threads of a process have run or would have, had there been a CPU."""
    times = [(task / "schedstat").read_text().split()[:2] for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int(ran) + int(waited) for ran, waited in times) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=float, default=10, help="seconds")
    parser.add_argument("--patience", type=float, default=25, help="seconds for an end, until it is taken for none")
    parser.add_argument("--crashing", type=float, default=20, help="seconds")
    wanted = parser.parse_args()
    rows: dict[str, Callable[[str], str]] = {
        f"context switches of PID 1 in {wanted.idle:.0f} s idle, 2 workers": partial(idle, wanted.idle),
        "CPU that PID 1 wants while 2 workers drain": draining,
        "TERM to exit, one idle service": partial(single, wanted.patience),
        "zombies of 20 orphans, 2 workers": orphans,
        f"TERM to exit, workers stuck, timeout {TIMEOUT} s": partial(exceeded, wanted.patience),
        f"forks in {wanted.crashing:.0f} s of a crash loop, 2 workers": partial(crashing, wanted.crashing),
    }
    print_row("", *PEERS)
    print_row("---", *["--:"] * len(PEERS))
    with ThreadPoolExecutor(len(PEERS)) as pool:
        for title, measure in rows.items():
            print_row(title, *pool.map(measure, PEERS))


def print_row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
