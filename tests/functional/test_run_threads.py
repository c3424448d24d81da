"""`backend = threading`: nothing of eventlet, nothing to do while idle, and long requests are no hang."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, on_threads
from tests.functional.load import Load, get
from tests.functional.test_run_idle import IDLE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.program import Program

MODULES = """
import json, socket, time, threading
mold = [name for name in sys.modules if "eventlet" in name or "greenlet" in name]

def web(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    here = [name for name in sys.modules if "eventlet" in name or "greenlet" in name]
    made_by = [each.__module__ for each in (socket.socket, time.sleep, threading.Thread)]
    return [json.dumps([mold, here, made_by]).encode()]
"""


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


def rest(pid: int) -> dict[str, str]:
    """Return what every thread of a process has run and how often it went to sleep."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return {task.name: (task / "schedstat").read_text() for task in tasks}


def wait_at_rest(pid: int) -> dict[str, str]:
    """Wait until no thread of a process has run for half a second."""

    def found() -> dict[str, str]:
        before = rest(pid)
        time.sleep(0.5)
        return before if rest(pid) == before else {}

    return wait_for(found, "the process to rest")


@on_threads
def test_nothing_of_eventlet_is_in_any_process(program: Program) -> None:
    program.serve(MODULES, services="app:web=1")
    assert program.get() == (200, '[[], [], ["socket", "time", "threading"]]')
    (mold,) = program.ask("status")["molds"]
    for pid in (mold, *program.workers()):
        assert proc.memory_contains(program.outer(pid), b"/waitress/")
        assert "greenlet" not in proc.maps(program.outer(pid))


@on_threads
def test_an_idle_worker_does_not_run_and_obeys_at_once(program: Program) -> None:
    program.serve(WEB + SERVICE, services="app:web=1, app:Service=1", liveness_timeout=0.5)
    assert program.get()[0] == 200
    workers = [program.outer(pid) for pid in program.workers()]
    before = [wait_at_rest(pid) for pid in workers]
    time.sleep(IDLE / 3)
    assert [rest(pid) for pid in workers] == before
    begun = time.monotonic()
    assert program.stop() == 0
    assert time.monotonic() - begun < IDLE / 2


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
