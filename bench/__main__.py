"""Measure the launcher beside its peers, interleaved in one run; absolute times mean nothing from another machine.

Usage: python -m bench [--rounds 3] [--workers 2 16 64] [--idle 5] [--objects 600000] [--peers NAME...]

Every row is a median; the figure in brackets is the ratio to the launcher.  At the end stands every row in which a
peer is ahead.  `python -m bench.init` measures `launcher exec`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from itertools import chain
from typing import TYPE_CHECKING

from bench.peers import PEERS
from bench.run import Run

if TYPE_CHECKING:
    from bench.peers import Peer

Results = dict[str, dict[str, float]]  # row: peer: median
PRELOADED_WORKERS = 8
TOLERANCE = 1.05  # what two runs of the same program may differ by


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--idle", type=float, default=5.0, help="seconds")
    parser.add_argument("--objects", type=int, default=600_000, help="that the application preloads, 100 MB")
    parser.add_argument("--peers", nargs="+", default=[peer.name for peer in PEERS])
    wanted = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in wanted.peers]
    results: Results = {}
    for workers in wanted.workers:
        idle = wanted.idle if workers == max(wanted.workers) else 0.0
        measured = interleaved(peers, wanted.rounds, workers, idle, objects=0)
        for row in ("start ms", "respawn ms", "stop ms"):
            results[f"{row}, {workers} workers"] = measured[row]
    for row in ("switches/s", "supervisor PSS MB", "supervisor RSS MB"):
        results[f"{row}, {workers} workers"] = measured[row]
    preloaded = interleaved(peers, 1, PRELOADED_WORKERS, 0.0, objects=wanted.objects)
    results[f"PSS MB a worker, 100 MB preloaded, {PRELOADED_WORKERS} workers"] = preloaded["worker PSS MB"]
    print_table([peer.name for peer in peers], results)
    print_behind(results)


def interleaved(peers: list[Peer], rounds: int, workers: int, idle: float, *, objects: int) -> Results:
    """Run every peer so often, in random order; return the medians."""
    found: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in random.sample(peers, len(peers)):
            print(f"{workers} workers: {peer.name}", file=sys.stderr)
            found[peer.name].append(Run(peer, workers, idle, objects).results)
    rows = dict.fromkeys(chain.from_iterable(chain.from_iterable(found.values())))
    return {row: {name: statistics.median(run[row] for run in runs) for name, runs in found.items()} for row in rows}


def print_table(names: list[str], results: Results) -> None:
    print("| | " + " | ".join(names) + " |")
    print("| --- |" + " --: |" * len(names))
    for row, values in results.items():
        cells = [cell(values[name], values.get("launcher", 0.0), name) for name in names]
        print(f"| {row} | " + " | ".join(cells) + " |")


def cell(value: float, own: float, name: str) -> str:
    return f"{value:.1f} ({value / own:.1f})" if own and name != "launcher" else f"{value:.1f}"


def print_behind(results: Results) -> None:
    """Name every row in which somebody does better than the launcher."""
    for row, values in results.items():
        own = values.get("launcher", 0.0)
        peers = {name: value for name, value in values.items() if not name.startswith("launcher")}
        ahead = [f"{name} {value:.1f}" for name, value in peers.items() if value * TOLERANCE < own]
        if ahead:
            print(f"behind in {row} ({own:.1f}): {', '.join(ahead)}")


if __name__ == "__main__":
    main()
