"""Each worker has a number, and its replacement has the same."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from tests.functional.cases import SERVICE, both_backends
from tests.functional.scripts import starter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.program import Program

NUMBERED = (
    SERVICE
    + """
import launcher
class Numbered(Service):
    def __init__(self): self.known = launcher.worker_id()
    def start(self): note("id", os.getpid(), self.known, launcher.worker_id())
def connect(conf, worker): note("hook", worker.slot, launcher.worker_id())
note("mold", launcher.worker_id())
"""
)


def ids(program: Program, workers: list[int]) -> list[str]:
    """Return what these workers have said of their number, first where their service was made."""
    said = {int(note.split()[1]): " ".join(note.split()[2:]) for note in program.wait_for_notes("id", len(workers))}
    return [said[pid] for pid in workers]


@both_backends
def test_it_survives_respawn_scaling_and_reload(program: Program) -> None:
    program.serve(NUMBERED, services="app:Numbered=3", listen=None, post_fork="app:connect")
    workers = program.workers()
    assert ids(program, workers) == ["0 0", "1 1", "2 2"]
    assert program.wait_for_notes("mold") == ["mold 0"]
    assert sorted(program.wait_for_notes("hook", 3)) == ["hook 0 0", "hook 1 1", "hook 2 2"]
    program.signal(signal.SIGKILL, workers[1])
    replaced = program.wait_replaced([workers[1]])
    assert ids(program, replaced) == ["0 0", "1 1", "2 2"]
    program.signal(signal.SIGTTIN)
    four = program.wait_ready(4)
    assert ids(program, four) == ["0 0", "1 1", "2 2", "3 3"]
    program.signal(signal.SIGHUP)
    assert ids(program, program.wait_replaced(four)) == ["0 0", "1 1", "2 2"]
    assert program.stop() == 0


def test_a_command_has_it_in_its_environment(program: Program) -> None:
    wait = "import os, time; print('id', os.environ['LAUNCHER_WORKER_ID'], flush=True); time.sleep(1000)"
    program.configure(command=f'job=2:{sys.executable} -c "{wait}"', ready=0.01, listen=None)
    program.start()
    program.wait_for_output(r"job\[0\] \| id 0\n")
    program.wait_for_output(r"job\[1\] \| id 1\n")
    assert program.stop() == 0


def test_a_program_that_launches_its_services_itself(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start("""
        class Numbered(Recorder):
            def start(self):
                note("id", launcher.worker_id())

        running = launcher.launch(conf, Numbered(), workers=2)
        sys.exit(running.wait())
        """)
        assert sorted(script.wait_for_notes("id", count=2)) == [["id", "0"], ["id", "1"]]
        assert script.stop() == 0
