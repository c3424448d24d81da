"""Measure the launcher beside its peers, interleaved in one run; absolute times mean nothing from another machine.

Usage: python -m bench [--rounds 3] [--workers 2 16] [--idle 5]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.peers import APP, PEERS

if TYPE_CHECKING:
    from bench.peers import Peer

DEADLINE = 60.0  # seconds that anything may take


class Run:
    """One start of a peer: to N ready workers, idle, a worker killed, stopped."""

    def __init__(self, peer: Peer, workers: int, idle: float) -> None:
        self.results: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as name:
            self.folder = Path(name)
            self.stamps = self.folder / "stamps"
            self.stamps.touch()
            (self.folder / "idle_app.py").write_text(APP)
            peer.prepare(self.folder)
            environment = {
                **os.environ,
                "STAMPS": str(self.stamps),
                "WORKERS": str(workers),
                "LAUNCHER_RUNTIME_DIR": name,
            }
            begun = time.monotonic()
            with subprocess.Popen(
                peer.argv(workers), cwd=name, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                try:
                    self.measure(process, workers, idle, begun)
                finally:
                    process.kill()

    def measure(self, process: subprocess.Popen[bytes], workers: int, idle: float, begun: float) -> None:
        ready = self.wait_for(workers)
        self.results["start ms"] = (ready[-1][1] - begun) * 1000
        self.results["RSS MB"] = memory(process.pid)
        before = switches(process.pid)
        time.sleep(idle)
        self.results["switches/s"] = (switches(process.pid) - before) / idle
        killed = time.monotonic()
        os.kill(ready[0][0], signal.SIGKILL)
        self.results["respawn ms"] = (self.wait_for(workers + 1)[-1][1] - killed) * 1000
        stopped = time.monotonic()
        process.terminate()
        process.wait(DEADLINE)
        self.results["stop ms"] = (time.monotonic() - stopped) * 1000

    def wait_for(self, count: int) -> list[tuple[int, float]]:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            lines = self.stamps.read_text().splitlines()
            if len(lines) >= count:
                return [(int(pid), float(at)) for pid, at in (line.split() for line in lines)]
            time.sleep(0.002)
        raise TimeoutError(f"{len(self.stamps.read_text().splitlines())} of {count} workers ready")


def memory(pid: int) -> float:
    return field(pid, "VmRSS") / 1000


def switches(pid: int) -> int:
    """Voluntary context switches of all threads of the supervisor."""
    return sum(field(int(task.name), "voluntary_ctxt_switches") for task in Path(f"/proc/{pid}/task").iterdir())


def field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--idle", type=float, default=5.0, help="seconds")
    arguments = parser.parse_args()
    for workers in arguments.workers:
        runs: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in PEERS}
        for _ in range(arguments.rounds):
            for peer in PEERS:
                runs[peer.name].append(Run(peer, workers, arguments.idle).results)
        print_table(workers, runs)


def print_table(workers: int, runs: dict[str, list[dict[str, float]]]) -> None:
    columns = list(next(iter(runs.values()))[0])
    print(f"\n{workers} workers, median of {len(next(iter(runs.values())))} (ratio to the launcher)\n")
    print("| | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    own = medians(runs["launcher"])
    for name, results in runs.items():
        cells = [cell(value, own[column]) for column, value in medians(results).items()]
        print(f"| {name} | " + " | ".join(cells) + " |")


def medians(results: list[dict[str, float]]) -> dict[str, float]:
    return {column: statistics.median(result[column] for result in results) for column in results[0]}


def cell(value: float, own: float) -> str:
    return f"{value:.1f} ({value / own:.1f})" if own else f"{value:.1f}"


if __name__ == "__main__":
    main()
