"""Facts about the processes below the supervisor: whose children they are, what they hold, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, both_backends, every_way, not_pid1
from tests.functional.load import Load
from tests.functional.program import reserved_port

if TYPE_CHECKING:
    from tests.functional.program import Program


def own(program: Program, pids: list[int]) -> list[int]:
    """Translate PIDs of processes that are there to ours."""
    found = [program.outer(pid) for pid in pids]
    assert all(found)
    return found


@every_way
def test_the_supervisor_is_the_parent_of_all(program: Program) -> None:
    program.serve(WEB, services="app:web=4")
    (mold,) = program.ask("status")["molds"]
    everybody = own(program, [mold, *program.workers()])
    assert {proc.field(pid, "PPid") for pid in everybody} == {str(program.pid)}
    assert sorted(proc.descendants(program.pid)) == sorted(everybody)


STUCK = (
    SERVICE
    + """
class Busy(Service):
    def start(self):
        super().start()
        __import__("threading").Timer(0.1, self.spin).start()
    def spin(self):
        note("spin")
        while True: pass
"""
)


@both_backends
@not_pid1
@pytest.mark.parametrize(("source", "target"), [(WEB, "web"), (SERVICE, "Service"), (STUCK, "Busy")])
def test_workers_do_not_outlive_a_killed_supervisor(program: Program, source: str, target: str) -> None:
    program.serve(source, services=f"app:{target}=3", graceful_shutdown_timeout=1)
    if target == "Busy":
        program.wait_for_notes("spin", 3)
    program.signal(signal.SIGKILL)
    program.wait_ended()
    program.wait_nothing_left()


def test_a_killed_pid_1_leaves_nothing(program: Program) -> None:
    program.serve(WEB, services="app:web=3")
    program.signal(signal.SIGKILL)
    program.wait_ended()
    program.wait_nothing_left()


@every_way
@pytest.mark.parametrize("stderr", ["file", "pipe"])
def test_a_worker_holds_no_descriptor_that_is_not_its_own(program: Program, stderr: str) -> None:
    with reserved_port() as other, ExitStack() as stack:
        program.write_app(WEB + "api = web\n")
        listen = f"web=127.0.0.1:{program.port},api=127.0.0.1:{other}"
        program.configure(services="app:web=2,app:api=2", listen=listen)
        program.start(**({"stderr": subprocess.PIPE} if stderr == "pipe" else {}))
        if program.process.stderr:
            stack.enter_context(program.process.stderr)
        program.wait_ready(4)
        (mold,) = program.ask("status")["molds"]
        supervisors = sockets(program.pid)
        held = {}
        for service in ("web", "api"):
            first, second = (program.outer(pid) for pid in program.workers(service=service))
            check_descriptors(program.pid, first)
            check_descriptors(program.pid, second)
            assert sockets(first) == sockets(second)
            held[service] = sockets(first)
    assert held["web"].isdisjoint(held["api"])
    assert held["web"] | held["api"] < supervisors
    assert sockets(program.outer(mold)).isdisjoint(held["web"] | held["api"])


def sockets(pid: int) -> set[str]:
    """Return the sockets that a process holds."""
    return {name for name in proc.descriptors(pid).values() if name.startswith("socket:")}


def check_descriptors(supervisor: int, worker: int) -> None:
    """A worker has stdio, its listening socket, its hub, its wake-up pipe, and one end of each tie.

    On threads the HTTP server has a wake-up pipe of its own instead of a hub.
    """
    shared = {name for name, _ in proc.pipes(supervisor)}
    ties = {end for end in proc.pipes(worker) if end[0] in shared}
    wakeup = proc.pipes(worker) - ties
    assert sorted(way for _, way in ties) == ["r", "w"], "the lifeline's end, the notices' end"
    assert len({name for name, _ in ties}) == 2
    hubs = [name for name in proc.descriptors(worker).values() if name.startswith("anon_inode:")]
    ways = sorted((name, way) for name, way in wakeup)
    assert [way for _, way in ways] == ["r", "w"] * (2 - len(hubs))
    assert len({name for name, _ in ways}) == 2 - len(hubs)
    others = sorted(name.split(":")[0] for name in {name for fd, name in proc.descriptors(worker).items() if fd > 2})
    assert others == ["anon_inode"] * len(hubs) + ["pipe"] * (4 - len(hubs)) + ["socket"]


NUMPY = """
import random as _random
_own = _random.Random(1)
def seed(): _own.seed()
def random(): return _own.random()
"""

DICE = """
import random
import numpy.random
random.seed(1)
class Dice:
    def start(self): note("drawn", random.random(), numpy.random.random())
    def stop(self): pass
    def wait(self): pass
    def reset(self): pass
"""


@pytest.fixture
def numpy(program: Program) -> None:
    """A package of that name: all that matters here is a random state of its own that is seeded at import."""
    (program.folder / "numpy").mkdir()
    (program.folder / "numpy" / "__init__.py").touch()
    (program.folder / "numpy" / "random.py").write_text(NUMPY)


@both_backends
def test_every_worker_draws_its_own_random_numbers(program: Program, numpy: None) -> None:
    program.serve(DICE, services="app:Dice=4", listen=None)
    drawn = [note.split() for note in program.wait_for_notes("drawn", 4)]
    assert len({number for _, number, _ in drawn}) == 4
    assert len({number for _, _, number in drawn}) == 4


@every_way
def test_a_killed_mold_is_replaced_and_nobody_notices(program: Program) -> None:
    program.serve(WEB, services="app:web=3")
    workers, (mold,) = program.workers(), program.ask("status")["molds"]
    program.signal(signal.SIGKILL, mold)
    program.wait_for_output(r"mold of generation 1 ended with 137; loading it again")
    program.wait_for(lambda: program.ask("status")["molds"] not in ([], [mold]), "another mold")
    assert program.workers() == workers
    program.signal(signal.SIGKILL, workers[1])
    after = program.wait_replaced(workers[1:2])
    assert [after[0], after[2]] == [workers[0], workers[2]]
    assert program.stop() == 0


@both_backends
def test_a_mold_killed_under_load_fails_no_request(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    workers = program.workers()
    with Load(program.port, keep_alive=2, fresh=2) as load:
        for killed in range(1, 3):
            load.wait_for_more()
            (mold,) = program.wait_for(lambda: program.ask("status")["molds"], "a mold")
            program.signal(signal.SIGKILL, mold)
            program.wait_for(lambda k=killed: program.output().count("loading it again") == k, "its end")
        load.wait_for_more(50)
    assert load.failures == []
    assert program.workers() == workers
    assert program.stop() == 0


@both_backends
def test_a_worker_and_the_mold_killed_together_are_replaced(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    workers, (mold,) = program.workers(), program.ask("status")["molds"]
    for pid in own(program, [mold, *workers]):
        os.kill(pid, signal.SIGKILL)
    program.wait_replaced(workers)
    assert program.get()[0] == 200
    assert program.stop() == 0
