"""`launcher exec` beside tini, dumb-init, catatonit and a bare Python, all in one interleaved run.

    make bench-init ARGS='[--rounds N] [--signals N] [--orphans N] [--idle SECONDS]'

Every program is PID 1 of a PID namespace of its own.  Needs root, Debian's tini, dumb-init and catatonit, and a C
compiler for the probe.  Each round visits all of them in another order, and what is printed is the lower quartile of
the rounds: what else a machine does can only add time.  Compare columns and not days.  The exit status is 1 if a
target is missed.

Of round trips it is the median, for there are two usual times: ten microseconds where a CPU is still awake from the
signal before, ten times as many where it has to wake up.  An init gets its signals far apart, so that is what has a
target; the lower quartile of signals close together shows what the init itself takes.
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
from statistics import median, quantiles

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
APART, CLOSE = 0.01, 0.0005  # seconds between two signals
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


def in_a_child(measure: object, *arguments: object) -> int:
    """unshare(CLONE_NEWPID) is for the children of a process once and for all: measure in a process of its own."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        with os.fdopen(writer, "w") as out:
            out.write(" ".join(map(str, measure(*arguments))))  # type: ignore[operator]
            out.flush()
        os._exit(0)
    os.close(writer)
    return reader


def result(reader: int) -> list[float]:
    with os.fdopen(reader) as text:
        numbers = [float(word) for word in text.read().split()]
    os.wait()
    return numbers


def start(init: str, probe: str) -> list[float]:
    """Milliseconds from spawn to the command's first instruction (for `bare` to its exit), and to our exit."""
    run = Run([PYTHON, "-I", "-S", "-c", "pass"] if init == "bare" else [*INITS[init], probe])
    reached = None if init == "bare" else run.read()
    run.end()
    ended = time.monotonic()
    return [((reached or ended) - run.started) * 1e3, (ended - run.started) * 1e3]


def term_safe(init: str, probe: str) -> list[float]:
    """Milliseconds from spawn until a TERM is no longer dropped: it is blocked or handled."""
    run = Run([*INITS[init], probe, "wait"])
    folder = Path(f"/proc/{run.pid}")
    while not _is_term_safe(folder):
        pass
    safe = time.monotonic()
    run.read()
    os.kill(run.pid, signal.SIGTERM)
    run.end()
    return [(safe - run.started) * 1e3]


def _is_term_safe(folder: Path) -> bool:
    """What sigtimedwait(2) waits for is not blocked meanwhile, says the kernel."""
    lines = (folder / "status").read_text().splitlines()
    return any(_has_term(line) for line in lines) or "sigtimedwait" in (folder / "wchan").read_text()


def _has_term(line: str) -> bool:
    return line.startswith(("SigBlk", "SigCgt")) and bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def round_trips(init: str, probe: str, count: int, gap: float) -> list[float]:
    """Microseconds from a kill of PID 1 until the command has it, with `gap` seconds before each."""
    run = Run([*INITS[init], probe, "wait"])
    run.read()
    time.sleep(0.2)  # what an init does once the command runs is not the signal's affair
    found = []
    for _ in range(count):
        time.sleep(gap)
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
            found[init].append(result(in_a_child(measure, init, *arguments)))
    return found


def side_by_side(inits: list[str], measure: object, *arguments: object) -> dict[str, list[float]]:
    readers = {init: in_a_child(measure, init, *arguments) for init in inits}
    return {init: result(reader) for init, reader in readers.items()}


def row(title: str, values: dict[str, float], unit: str) -> None:
    print(f"{title:34}" + "".join(f"{values.get(init, float('nan')):>11.2f}" for init in INITS) + f"  {unit}")


def lower_quartile(found: dict[str, list[list[float]]], at: int | None = None) -> dict[str, float]:
    """Of one number of each round, or of all."""
    return {
        init: quantiles(chain.from_iterable(rounds) if at is None else (each[at] for each in rounds), n=4)[0]
        for init, rounds in found.items()
    }


def medians(found: dict[str, list[list[float]]]) -> dict[str, float]:
    return {init: median(chain.from_iterable(rounds)) for init, rounds in found.items()}


def verdict(title: str, ratio: float, target: float) -> bool:
    print(f"{title:60}{ratio:8.2f}  (target {target}) {'met' if ratio <= target else 'MISSED'}")
    return ratio <= target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="starts of each")
    parser.add_argument("--signals", type=int, default=1000, help="to each, in rounds of 20")
    parser.add_argument("--orphans", type=int, default=5000, help="of each, in each of 7 rounds")
    parser.add_argument("--idle", type=float, default=10, help="seconds")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(not measure(build_probe(Path(folder)), wanted))


def measure(probe: str, wanted: argparse.Namespace) -> bool:
    """Measure all, print it, and return whether the targets are met."""
    everybody, inits = list(INITS), [init for init in INITS if init not in {"direct", "bare"}]
    print(f"{'':34}" + "".join(f"{init:>11}" for init in INITS))
    started = interleaved(everybody, wanted.rounds, start, probe)
    begun, ended = lower_quartile(started, 0), lower_quartile(started, 1)
    row("start to exec", begun, "ms")
    row("  over direct", {init: value - begun["direct"] for init, value in begun.items()}, "ms")
    row("start to exit", ended, "ms")
    row("start to TERM-safe", lower_quartile(interleaved(inits, wanted.rounds, term_safe, probe), 0), "ms")
    apart, close = (
        interleaved(["direct", *inits], wanted.signals // 20, round_trips, probe, 20, gap) for gap in (APART, CLOSE)
    )
    trip = medians(apart)
    row("signal round trip", trip, "us")
    row("  of signals close together", lower_quartile(close), "us")
    idling = side_by_side(["bare", *inits], idle, probe, wanted.idle)
    switches, rss, pss = ({init: numbers[at] for init, numbers in idling.items()} for at in range(3))
    row(f"context switches in {wanted.idle:.0f} s idle", switches, "")
    row("RSS", rss, "kB")
    row("PSS", pss, "kB")
    reaped = interleaved(inits, 7, reaping, probe, wanted.orphans)
    reap = lower_quartile(reaped, 0)
    row(f"reap {wanted.orphans} orphans", reap, "ms")
    row("  CPU of the init", lower_quartile(reaped, 1), "ms")
    overhead = (begun["launcher"] - begun["direct"]) / (begun["bare"] - ended["direct"])
    met = [
        verdict("start-to-exec overhead, of bare Python's start to exit", overhead, 1.2),
        verdict("signal round trip, of tini's", trip["launcher"] / trip["tini"], 1.2),
        verdict("reaping, of the slowest C init's", reap["launcher"] / max(reap[init] for init in inits[1:]), 1.2),
        verdict("RSS, of bare Python's", rss["launcher"] / rss["bare"], 1.1),
        verdict("context switches while idle", switches["launcher"], 0),
    ]
    return all(met)


if __name__ == "__main__":
    sys.exit(main())
