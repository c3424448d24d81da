"""One start of a peer: to N ready workers, idle, a worker killed, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.peers import Peer

DEADLINE = 60.0  # seconds that anything may take
STEP = 0.002  # seconds between two looks at the stamps


class Run:
    """What was measured of a peer with so many workers, `idle` seconds, and so many preloaded objects."""

    def __init__(self, peer: Peer, workers: int, idle: float, objects: int) -> None:
        self.results: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as name:
            self.folder = Path(name)
            self.stamps = self.folder / "stamps"
            self.stamps.touch()
            peer.prepare(self.folder)
            environment = {
                **os.environ,
                "STAMPS": str(self.stamps),
                "WORKERS": str(workers),
                "OBJECTS": str(objects),
                "PYTHONPATH": name,
                "PYTHONDONTWRITEBYTECODE": "1",
                "LAUNCHER_RUNTIME_DIR": name,
            }
            begun = time.monotonic()
            with subprocess.Popen(
                peer.argv(workers, free_port()),
                cwd=name,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            ) as process:
                try:
                    self.measure(process, workers, idle, begun)
                finally:
                    self.end(process)

    def measure(self, process: subprocess.Popen[bytes], workers: int, idle: float, begun: float) -> None:
        ready = self.wait_for(workers)
        self.results["start ms"] = (max(at for _, at in ready) - begun) * 1000
        time.sleep(0.3)  # whatever a peer does once its workers are ready
        self.results["supervisor RSS MB"] = rollup(process.pid, "Rss")
        self.results["supervisor PSS MB"] = rollup(process.pid, "Pss")
        self.results["worker PSS MB"] = sum(rollup(pid, "Pss") for pid, _ in ready) / workers
        before = switches(process.pid)
        time.sleep(idle)
        self.results["switches/s"] = (switches(process.pid) - before) / (idle or 1)
        killed = time.monotonic()
        os.kill(ready[0][0], signal.SIGKILL)  # one only: what is killed again and again has to wait, and rightly so
        self.results["respawn ms"] = (self.wait_for(workers + 1)[-1][1] - killed) * 1000
        stopped = time.monotonic()
        process.terminate()
        process.wait(DEADLINE)
        self.results["stop ms"] = (time.monotonic() - stopped) * 1000

    def wait_for(self, count: int) -> list[tuple[int, float]]:
        """Return PID and time of every stamp once there are so many."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            lines = self.stamps.read_text().splitlines()
            if len(lines) >= count:
                return [(int(pid), float(at)) for pid, at in (line.split() for line in lines)]
            time.sleep(STEP)
        raise TimeoutError(f"{len(self.stamps.read_text().splitlines())} of {count} workers ready")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End what is left of it: some leave their workers behind."""
        process.kill()
        for line in self.stamps.read_text().splitlines():
            pid = int(line.split()[0])
            with suppress(OSError):
                if os.getsid(pid) == process.pid:  # and not somebody else's by now
                    os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rollup(pid: int, name: str) -> float:
    """Return a size of a process in MB, out of its smaps_rollup."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1000
    raise KeyError(name)


def switches(pid: int) -> int:
    """Voluntary context switches of all threads of the supervisor."""
    return sum(field(int(task.name), "voluntary_ctxt_switches") for task in Path(f"/proc/{pid}/task").iterdir())


def field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise KeyError(name)
