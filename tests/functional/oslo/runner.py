"""Runs tests of the wheel, each in a process of its own, several at a time.

Usage: `runner RESULTS`, the names on standard input.  They are forked off a process that has imported everything once.
What comes of a test is in the file of its name in RESULTS: its outcome, and on the lines below what was said.
Some have limits of 3 s for what takes one on a machine with nothing else to do, so who fails is tried again, alone.
`runner --list` prints what tests unittest finds in the modules of those names, as far as they can be imported.
"""

from __future__ import annotations

import os
import posix
import signal
import sys
import traceback
import unittest
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.supervisor import reaper
from launcher.supervisor.libc import PR_SET_PDEATHSIG, prctl
from tests.functional.oslo.not_run import reason
from tests.functional.oslo.wheel import PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

AT_A_TIME = 4  # most of the slow ones sleep, but some have little patience
PATIENCE = 60  # seconds


def main(results: Path, names: list[str]) -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    reaper.adopt_orphans()
    list(_modules(names))
    failed = [name for name, said in _outcomes(names, results, AT_A_TIME) if not _end(name, said, results)]
    for name, said in _outcomes(failed, results, 1):
        _end(name, said, results, last=True)
    reaper.sweep(grace=0)


def _outcomes(names: list[str], results: Path, at_a_time: int) -> Iterable[tuple[str, str]]:
    """Run tests; return the outcome of each as it comes."""
    names, running = list(names), dict[int, str]()
    while names or running:
        while names and len(running) < at_a_time:
            name = names.pop(0)
            running[_start(name, results)] = name
        dead = posix.waitid(posix.P_ALL, 0, posix.WEXITED)  # `os` may be patched
        if (name := running.pop(dead.si_pid, None)) is not None:
            outcome = results / f"{name}.outcome"
            yield name, outcome.read_text() if outcome.exists() else f"died: {dead.si_status}"


def found(names: list[str]) -> Iterable[str]:
    """Return the names of all tests in the modules of these."""
    for module in _modules(names):
        for suite in unittest.defaultTestLoader.loadTestsFromModule(module):
            yield from (test.id().removeprefix(f"{PACKAGE}.") for test in suite)


def _modules(names: list[str]) -> Iterable[ModuleType]:
    """Import the modules, those that can be; the tests of the others will say why not."""
    for name in sorted({name.rsplit(".", 2)[0] for name in names}):
        try:
            yield import_module(f"{PACKAGE}.{name}")
        except Exception:  # noqa: BLE001, S112
            continue


def _start(name: str, results: Path) -> int:
    pid = posix.fork()
    if pid == 0:
        try:
            _run(name, results)
        except BaseException:  # noqa: BLE001 - nothing may unwind into the runner
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    return pid


def _run(name: str, results: Path) -> None:
    output = os.open(results / f"{name}.output", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)  # and not faulthandler's: a process forked off it could have none
    if "eventlet.hubs" in sys.modules:
        import_module("eventlet.hubs").use_hub()  # the runner's is shared with all the others
    test = unittest.defaultTestLoader.loadTestsFromName(f"{PACKAGE}.{name}")
    result = unittest.TextTestRunner(stream=sys.stderr).run(test)
    outcome = "passed" if result.wasSuccessful() and not result.skipped else "failed"
    _write(results / f"{name}.outcome", outcome)


def _end(name: str, outcome: str, results: Path, *, last: bool = False) -> bool:
    """Say what came of a test, unless it is tried again."""
    final = last or outcome == "passed" or bool(reason(name))
    if final:
        output = results / f"{name}.output"
        said = output.read_text(errors="replace") if output.exists() else ""
        _write(results / name, f"{outcome}\n{said}")
    return final


def _write(path: Path, text: str) -> None:
    """Write a file that nobody sees half of."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.rename(path)


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        sys.stdout.write("\n".join(found(sys.stdin.read().split())))
    else:
        main(Path(sys.argv[1]), sys.stdin.read().split())
