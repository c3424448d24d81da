"""What the signals do, as design.md's table has it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import SERVICE, WEB, both_ways, every_way
from tests.functional.tracing import after_first_system_call

if TYPE_CHECKING:
    from tests.functional.program import Program

INSTALLED = str(Path(sys.executable).parent / "launcher")
# In place of `python -m launcher`, when we say so.
AS_INSTALLED = ("sh", "-c", 'echo waits; read go; shift 3; exec "$0" "$@"', INSTALLED)
HANDLER = (
    SERVICE
    + """
import signal
class Handler(Service):
    def start(self):
        for signum in (signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN + 1):
            signal.signal(signum, lambda signum, frame: note("got", signum, os.getpid()))
        super().start()
"""
)


def got(signum: int, pids: list[int]) -> list[str]:
    return sorted(f"got {signum:d} {pid}" for pid in pids)


@every_way
def test_usr1_winch_and_realtime_signals_reach_every_worker(program: Program) -> None:
    program.serve(HANDLER, services="app:Handler=3", listen=None)
    workers = program.workers()
    for count, signum in enumerate((signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN + 1), 1):
        program.signal(signum)
        notes = program.wait_for_notes("got", 3 * count)
        assert sorted(note for note in notes if note.split()[1] == str(int(signum))) == got(signum, workers)
    assert program.workers() == workers
    assert program.stop() == 0


@every_way
def test_usr1_and_winch_kill_nobody_who_does_not_handle_them(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    workers = program.workers()
    program.signal(signal.SIGUSR1)
    program.signal(signal.SIGWINCH)
    program.signal(signal.SIGUSR2)  # answered by the workers, after the others
    for pid in workers:
        program.wait_for_output(f"stacks of worker {pid}:")
    assert program.workers() == workers
    assert program.get()[0] == 200
    assert program.stop() == 0


@every_way
def test_usr2_shows_the_state_and_every_workers_stacks(program: Program) -> None:
    waiting = SERVICE.replace('start(self): note("start", os.getpid())', "start(self): self.waits_here()")
    source = waiting + "    def waits_here(self): __import__('threading').Thread(target=wait_for_gate).start()\n"
    program.serve(source, services="app:Service=2", listen=None)
    program.signal(signal.SIGUSR2)
    for pid in program.workers():
        program.wait_for_output(rf"stacks of worker {pid}:(.*\n)+.* in wait_for_gate")
        assert re.search(
            rf"state: Service: worker {pid} \(slot \d, generation 1\): ready for [\d.]+ s", program.output()
        )
    assert "state: Service: 2 ready of 2, generation 1, 0 failures in a row" in program.output()
    assert re.search(r"state: mold \d+ \(generation 1\): ready", program.output())


@both_ways
def test_ttin_and_ttou_change_the_number_of_workers(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    first = program.workers()
    program.signal(signal.SIGTTIN)
    assert program.wait_ready(3)[:2] == first
    for count in (2, 1):
        program.signal(signal.SIGTTOU)
        program.wait_ready(count)
    program.signal(signal.SIGTTOU)
    program.wait_for_output("1 workers asked for(.*\n)+.*1 workers asked for")
    assert program.wait_ready() == first[:1], "one is the least"
    assert program.get()[0] == 200
    assert program.stop() == 0


def test_signals_in_a_burst_are_no_problem(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    workers = program.workers()
    for signum in (signal.SIGCHLD, signal.SIGUSR1, signal.SIGWINCH, signal.SIGALRM, signal.SIGIO)[:3] * 300:
        program.signal(signum)
    assert program.get()[0] == 200
    assert program.workers() == workers
    assert program.stop() == 0


@pytest.mark.parametrize("milliseconds", [0, 3, 8, 20])
def test_term_in_the_first_milliseconds_stops(program: Program, milliseconds: int) -> None:
    program.write_app(WEB)
    program.configure(services="app:web")
    program.start(inside=AS_INSTALLED, stdin=subprocess.PIPE)
    program.wait_for_output("waits")
    after_first_system_call(program.pid, program.process.stdin.close)
    time.sleep(milliseconds / 1000)  # the instant that is tested
    assert program.stop() == 0
