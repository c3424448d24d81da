"""`launcher exec` beside tini, dumb-init, catatonit and a bare Python, all in one interleaved run.

    python -m bench.init [--rounds N] [--signals N] [--orphans N] [--idle SECONDS]

Every program is PID 1 of a PID namespace of its own.  Needs root, Debian's tini, dumb-init and catatonit,
and a C compiler for the probe.  Compare columns and not days: machines are shared.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from statistics import median

CLONE_NEWPID = 0x20000000
FOLDER = Path(sys.executable).parent
PYTHON = str(FOLDER / "python")
INITS = {
    "direct": [],
    "bare": [],  # python -I -S -c pass, where that makes sense
    "launcher": [str(FOLDER / "launcher"), "exec", "--"],
    "tini": ["tini", "--"],
    "dumb-init": ["dumb-init", "--"],
    "catatonit": ["catatonit", "--"],
}
PROBE = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/wait.h>
static double now(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static void tell(double at) {
    char b[40]; int n = snprintf(b, sizeof b, "%.9f\n", at); if (write(1, b, n) != n) _exit(9); }
static int waits(void) {  /* for signals, and says when each came */
    sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0); tell(now());
    for (;;) {
        int s = sigwaitinfo(&all, 0); double at = now();
        if (s == SIGTERM) return 0;
        if (s == SIGUSR1) tell(at);
    }
}
static int orphans(int count) {  /* leaves orphans, and ends them all at once by closing a pipe */
    int gate[2]; char c; if (pipe(gate)) return 9;
    if (!fork()) {
        for (int i = 0; i < count; i++) if (!fork()) { close(gate[1]); _exit(read(gate[0], &c, 1) < 0); }
        _exit(0);
    }
    wait(0); tell(now()); close(gate[1]); for (;;) pause();
}
int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "orphans")) return orphans(atoi(argv[2]));
    if (argc > 1 && !strcmp(argv[1], "wait")) return waits();
    tell(now()); return 0;
}
"""
libc = ctypes.CDLL(None, use_errno=True)


def build_probe(folder: Path) -> str:
    source = folder / "probe.c"
    source.write_text(PROBE)
    subprocess.run(["gcc", "-O2", "-static", "-o", str(folder / "probe"), str(source)], check=True)
    return str(folder / "probe")


class Run:
    """One program as PID 1; `pid` is its PID here."""

    def __init__(self, command: list[str]) -> None:
        reader, writer = os.pipe()
        if libc.unshare(CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "unshare: needs root")
        self.started = time.monotonic()
        self.pid = os.posix_spawn(
            shutil.which(command[0]) or command[0],
            command,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_CLOSE, reader)],
        )
        os.close(writer)
        self.out = os.fdopen(reader, "r")

    def read(self) -> float:
        return float(self.out.readline())

    def end(self) -> None:
        os.waitpid(self.pid, 0)
        self.out.close()


def in_a_child(measure: object, *arguments: object) -> list[float]:
    """unshare(CLONE_NEWPID) is for the children of a process once and for all: measure in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writer, "w") as out:
            out.write(" ".join(map(str, measure(*arguments))))  # type: ignore[operator]
            out.flush()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        numbers = [float(word) for word in result.read().split()]
    os.waitpid(pid, 0)
    return numbers


def start(init: str, probe: str) -> list[float]:
    """Milliseconds from spawn to the command's first instruction (for `bare` to its exit), and to our exit."""
    run = Run([PYTHON, "-I", "-S", "-c", "pass"] if init == "bare" else [*INITS[init], probe])
    reached = None if init == "bare" else run.read()
    run.end()
    ended = time.monotonic()
    return [((reached or ended) - run.started) * 1e3, (ended - run.started) * 1e3]


def round_trips(init: str, probe: str, count: int) -> list[float]:
    """Microseconds from a kill of PID 1 until the command has it."""
    run = Run([*INITS[init], probe, "wait"])
    run.read()
    time.sleep(0.2)  # what an init does once the command runs is not the signal's affair
    found = []
    for _ in range(count):
        time.sleep(0.0005)
        sent = time.monotonic()
        os.kill(run.pid, signal.SIGUSR1)
        found.append((run.read() - sent) * 1e6)
    os.kill(run.pid, signal.SIGTERM)
    run.end()
    return found


def idle(init: str, probe: str, seconds: float) -> list[float]:
    """Context switches meanwhile, and RSS, PSS in kB."""
    command = [PYTHON, "-I", "-S", "-c", "import time; print(1, flush=True); time.sleep(1000)"]
    run = Run(command if init == "bare" else [*INITS[init], probe, "wait"])
    run.read()
    time.sleep(1)
    before = _switches(run.pid)
    time.sleep(seconds)
    switches = _switches(run.pid) - before
    rollup = Path(f"/proc/{run.pid}/smaps_rollup").read_text()
    sizes = [float(line.split()[1]) for line in rollup.splitlines() if line.startswith(("Rss:", "Pss:"))]
    os.kill(run.pid, signal.SIGKILL)
    run.end()
    return [switches, *sizes]


def _switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def reaping(init: str, probe: str, count: int) -> list[float]:
    """Milliseconds from the end of all orphans until nobody is left, and the init's CPU milliseconds for it."""
    run = Run([*INITS[init], probe, "orphans", str(count)])
    released = run.read()
    left = count
    while left > 0:  # the orphans are children of PID 1
        left = len(Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()) - 1
        if left > 0:
            time.sleep(0.002)
    gone = time.monotonic()
    ticks = Path(f"/proc/{run.pid}/schedstat").read_text().split()[0]
    os.kill(run.pid, signal.SIGKILL)
    run.end()
    return [(gone - released) * 1e3, int(ticks) / 1e6]


def interleaved(inits: list[str], rounds: int, measure: object, *arguments: object) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {init: [] for init in inits}
    for _ in range(rounds):
        for init in random.sample(inits, len(inits)):
            found[init].append(in_a_child(measure, init, *arguments))
    return found


def row(title: str, values: dict[str, float], unit: str) -> None:
    print(f"{title:34}" + "".join(f"{values.get(init, float('nan')):>11.2f}" for init in INITS) + f"  {unit}")


def middle(found: dict[str, list[list[float]]], at: int) -> dict[str, float]:
    return {init: median(each[at] for each in rounds) for init, rounds in found.items()}


def verdict(title: str, ratio: float, target: float) -> None:
    print(f"{title:60}{ratio:8.2f}  (target {target}) {'met' if ratio <= target else 'MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--signals", type=int, default=500)
    parser.add_argument("--orphans", type=int, default=5000)
    parser.add_argument("--idle", type=float, default=10)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(build_probe(Path(folder)), wanted)


def measure(probe: str, wanted: argparse.Namespace) -> None:
    everybody, inits = list(INITS), [init for init in INITS if init not in {"direct", "bare"}]
    print(f"{'':34}" + "".join(f"{init:>11}" for init in INITS))
    started = interleaved(everybody, wanted.rounds, start, probe)
    begun, ended = middle(started, 0), middle(started, 1)
    row("start to exec, median", begun, "ms")
    row("  over direct", {init: value - begun["direct"] for init, value in begun.items()}, "ms")
    row("start to exit, median", ended, "ms")
    trips = interleaved(["direct", *inits], 5, round_trips, probe, wanted.signals // 5)
    trip = {init: median(chain.from_iterable(rounds)) for init, rounds in trips.items()}
    row("signal round trip, median", trip, "us")
    idling = interleaved(["bare", *inits], 1, idle, probe, wanted.idle)
    row(f"context switches in {wanted.idle:.0f} s idle", middle(idling, 0), "")
    row("RSS", middle(idling, 1), "kB")
    row("PSS", middle(idling, 2), "kB")
    reaped = interleaved(inits, 3, reaping, probe, wanted.orphans)
    reap, cpu = middle(reaped, 0), middle(reaped, 1)
    row(f"reap {wanted.orphans} orphans", reap, "ms")
    row("  CPU of the init", cpu, "ms")
    verdict(
        "start-to-exec overhead, of bare Python's start to exit",
        (begun["launcher"] - begun["direct"]) / (begun["bare"] - ended["direct"]),
        1.2,
    )
    verdict("signal round trip, of tini's", trip["launcher"] / trip["tini"], 1.2)
    verdict("reaping, of the slowest C init's", reap["launcher"] / max(reap[init] for init in inits[1:]), 1.2)
    verdict("RSS, of bare Python's", middle(idling, 1)["launcher"] / middle(idling, 1)["bare"], 1.1)
    verdict("context switches while idle", middle(idling, 0)["launcher"], 0)


if __name__ == "__main__":
    main()
