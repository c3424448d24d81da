"""A worker that hangs is found, its stacks are written, and it is replaced; one that works or waits is left alone."""

from __future__ import annotations

import os
import signal
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.load import Load, get
from tests.functional.test_run_idle import switches, wait_settled

if TYPE_CHECKING:
    from tests.functional.program import Program

TIMEOUT = 0.5

APP = """
import ctypes
import eventlet
from launcher import WSGIService


def loop():
    while True:
        pass


def c_call():  # and no other thread runs meanwhile
    ctypes.PyDLL(None).sleep(3600)


def web(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        note("begun", os.getpid())
        wait_for_gate()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]


class Web(WSGIService):
    def __init__(self):
        super().__init__(web)

    def start(self):
        super().start()
        eventlet.spawn(self.obey)  # not in `tg`, a stop would wait for it

    def obey(self):
        fifo = f"fifo-{os.getpid()}"
        os.mkfifo(fifo)
        fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        note("listens", os.getpid())
        command = os.read(fd, 100).decode()
        note("hangs", os.getpid())
        globals()[command]()
"""

SLOW_START = """

class Web(Web):
    def start(self):
        note("starts")
        wait_for_gate()
        super().start()
"""


@pytest.fixture
def served(program: Program) -> Program:
    """Two workers that hang on command."""
    program.serve(APP, services="app:Web=2", liveness_timeout=TIMEOUT)
    program.wait_for_notes("listens", 2)
    return program


def hang(program: Program, worker: int, how: str) -> None:
    """Make a worker hang, and wait until it does."""
    if how == "stopped":
        program.signal(signal.SIGSTOP, worker)
        program.wait_for(lambda: proc.field(program.outer(worker), "State").startswith("T"), "the stop")
        return
    count = len([note for note in program.notes() if note.startswith("hangs")])
    with (program.folder / f"fifo-{worker}").open("w") as fifo:
        fifo.write(how)
    program.wait_for_notes("hangs", count + 1)


@pytest.mark.parametrize(
    ("how", "why", "where"),
    [("loop", "busy", "in loop"), ("c_call", "busy", "in c_call"), ("stopped", "stopped", "in do_poll")],
)
def test_a_worker_that_hangs_is_replaced_and_its_stacks_are_written(
    served: Program, how: str, why: str, where: str
) -> None:
    victim, other = served.workers()
    hang(served, victim, how)
    with Load(served.port, keep_alive=0) as load:
        new, same = served.wait_replaced([victim])
        load.wait_for_more()
    assert load.failures == []
    assert same == other
    assert new not in {victim, other}
    line = rf"Web: worker {victim} .* gets ABRT: hangs: {why} for \d+\.\d s.*; liveness_timeout is 0.5 s"
    served.wait_for_output(rf"{line}\nFatal Python error: Aborted\n(.*\n)*?.* {where}\n")
    assert served.stop() == 0


def test_workers_that_wait_or_yield_are_left_alone_and_not_woken(program: Program) -> None:
    program.serve(APP, services="app:Web=3", liveness_timeout=TIMEOUT, backoff_min=0.01, backoff_max=0.01)
    program.wait_for_notes("listens", 3)
    slow = Thread(target=get, args=(program.port, "/slow"))
    slow.start()
    yielding = int(program.wait_for_notes("begun")[0].split()[1])
    idle, victim = (pid for pid in program.workers() if pid != yielding)
    wait_settled(program.outer(idle))
    before = switches(program.outer(idle))
    for times in (1, 2):  # each takes a timeout, and the throttle of forks another second
        hang(program, victim, "loop")
        (victim,) = set(program.wait_replaced([victim])) - {yielding, idle}
        program.wait_for_notes("listens", 3 + times)
    assert switches(program.outer(idle)) == before
    assert {yielding, idle} < set(program.workers())
    program.open_gate()
    slow.join()
    assert program.stop() == 0


def test_a_worker_that_goes_on_in_time_stays(served: Program) -> None:
    stopped, clock = served.workers()
    hang(served, stopped, "stopped")
    os.kill(served.outer(stopped), signal.SIGCONT)
    hang(served, clock, "loop")
    assert stopped in served.wait_replaced([clock])
    assert served.stop() == 0


def test_a_stop_reaches_a_worker_that_is_stopped(program: Program) -> None:
    program.serve(APP, services="app:Web=2")
    hang(program, program.workers()[0], "stopped")
    assert program.stop() == 0
    assert "ABRT" not in program.output()


def test_a_reload_turns_it_on_for_old_and_new(program: Program) -> None:
    program.serve(APP, services="app:Web=1")
    (old,) = program.workers()
    program.wait_for_notes("listens")
    program.write_app(APP + SLOW_START)
    program.configure(services="app:Web=1", liveness_timeout=TIMEOUT)
    program.signal(signal.SIGHUP)
    program.wait_for_notes("starts")
    hang(program, old, "loop")
    program.wait_for_output(rf"worker {old} .* gets ABRT: hangs: busy for ")
    program.open_gate()
    (new,) = program.wait_replaced([old])
    program.wait_for_notes("listens", 2)
    hang(program, new, "loop")
    program.wait_for_output(rf"worker {new} .* gets ABRT: hangs: busy for ")
    program.wait_replaced([new])
    assert program.stop() == 0
