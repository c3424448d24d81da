"""`backend = threading`: what threads of the application are, to a reload, to a hang and to a stop."""

from __future__ import annotations

import signal
from threading import Thread
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, on_threads
from tests.functional.load import Load, get

if TYPE_CHECKING:
    from tests.functional.program import Program


def test_a_reload_moves_from_one_backend_to_the_other_without_a_failed_request(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    with Load(program.port) as load:
        for backend in ("threading", "eventlet"):
            before = program.workers()
            load.wait_for_more()
            program.configure(services="app:web=2", backend=backend)
            program.signal(signal.SIGHUP)
            for pid in program.wait_replaced(before):
                assert ("greenlet" in proc.maps(program.outer(pid))) is (backend == "eventlet")
        load.wait_for_more()
    assert load.failures == []
    assert program.stop() == 0


@on_threads
def test_a_long_request_is_no_hang_and_a_stopped_worker_is(program: Program) -> None:
    program.serve(WEB, services="app:web=2", liveness_timeout=0.5)
    slow = Thread(target=get, args=(program.port, "/slow"))
    slow.start()
    busy = int(program.wait_for_notes("begun")[0].split()[1])
    (idle,) = set(program.workers()) - {busy}
    program.wait_for(lambda: beat(program, busy)["at_work"], "the worker to say that it is at work")
    assert beat(program, busy)["in_flight"] == 1
    program.signal(signal.SIGSTOP, idle)  # found after one timeout, when the request has taken longer
    program.wait_for_output(rf"worker {idle} .* gets ABRT: hangs: stopped for ")
    program.wait_replaced([idle])
    assert busy in program.workers()
    program.open_gate()
    slow.join()
    program.wait_for(lambda: not beat(program, busy)["at_work"], "the end of the request")
    assert (beat(program, busy)["requests"], beat(program, busy)["in_flight"]) == (1, 0)
    assert program.stop() == 0


def beat(program: Program, pid: int) -> dict[str, float]:
    """Return what a worker says of itself."""
    return next(worker["beat"] for worker in program.ask("status")["workers"] if worker["pid"] == pid)


SLOW_START = """
class Service(Service):
    def start(self):
        note("begins", os.getpid())
        wait_for_gate()
        super().start()
"""


@on_threads
def test_a_term_during_start_is_obeyed_after_it(program: Program) -> None:
    program.write_app(SERVICE + SLOW_START)
    program.configure(services="app:Service=1", listen=None, graceful_shutdown_timeout=60)
    program.start()
    program.wait_for_notes("begins")
    program.signal(signal.SIGTERM)
    program.wait_for_output("worker .* gets TERM")
    program.open_gate()
    assert program.wait_ended() == 0
    assert [note.split()[0] for note in program.notes()] == ["begins", "start", "stop"]


BLOCKED = """
import threading
class Service(Service):
    def start(self):
        super().start()
        for call in (threading.Event().wait, lambda: time.sleep(3600)):
            threading.Thread(target=call, daemon=True).start()
"""


@on_threads
def test_threads_of_the_application_do_not_delay_the_exit(program: Program) -> None:
    program.serve(SERVICE + BLOCKED, services="app:Service=2", listen=None, graceful_shutdown_timeout=60)
    assert program.stop() == 0
    assert "gets ABRT" not in program.output()
