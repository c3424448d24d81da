"""What is in a process, and what is patched there: all of eventlet before the application, or nothing of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import both_backends, on_threads
from tests.functional.scripts import starter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.program import Program

LOOK = """
import json, os, select, signal, socket, subprocess, sys, threading, time

def look():
    found = {name.partition(".")[0] for name in sys.modules} & {"eventlet", "greenlet", "waitress"}
    patched = "eventlet.patcher" in sys.modules and sorted(sys.modules["eventlet.patcher"].already_patched)
    calls = (socket.socket, time.sleep, threading.Lock, threading.Thread.start, os.read, select.select)
    files = {getattr(sys.modules.get(getattr(call, "__module__", None)), "__file__", None) for call in calls}
    return sorted(found), patched, any("eventlet" in str(file) for file in files)
"""
WEB = (
    LOOK
    + """
in_mold = look()

def web(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [json.dumps([in_mold, look()]).encode()]
"""
)


def everybody(program: Program) -> list[int]:
    """PIDs of the mold and the workers, as we see them."""
    return [program.outer(pid) for pid in (*program.ask("status")["molds"], *program.workers())]


@on_threads
def test_on_threads_nothing_of_eventlet_is_there_and_nothing_is_patched(program: Program) -> None:
    program.serve(WEB, services="app:web=1")
    status, body = program.get()
    assert (status, json.loads(body)) == (200, [[["waitress"], False, False]] * 2)
    for pid in everybody(program):
        assert proc.memory_contains(pid, b"/waitress/")
        assert not proc.memory_contains(pid, b"/eventlet/")
        assert "greenlet" not in proc.maps(pid)


def test_on_eventlet_all_is_patched_before_the_application_and_never_in_pid_1(program: Program) -> None:
    program.serve(WEB, services="app:web=1")
    status, body = program.get()
    in_mold, in_worker = json.loads(body)
    assert status == 200
    for modules, patched, by_eventlet in (in_mold, in_worker):
        assert modules == ["eventlet", "greenlet"]
        assert {"os", "select", "socket", "thread", "time"} <= set(patched)
        assert by_eventlet
    for pid in everybody(program):
        assert "greenlet" in proc.maps(pid)
    assert "greenlet" not in proc.maps(program.pid)


SERVES = {
    "ServiceLauncher": "running.launch_service(Looks())",
    "ProcessLauncher": "running.launch_service(Looks(), workers=1)",
}


@both_backends
@pytest.mark.parametrize("launcher", SERVES)
def test_a_program_that_runs_its_services_itself_has_what_it_asked_for(
    tmp_path: Path, backend: str, launcher: str
) -> None:
    source = f"""{LOOK}
class Looks(launcher.Service):
    def start(self):
        self.tg.add_timer(0.01, self.look)
    def look(self):
        note("looked", json.dumps(look()).replace(" ", ""))

running = launcher.{launcher}(conf)
{SERVES[launcher]}
sys.exit(running.wait())
"""
    with starter(tmp_path) as start:
        script = start(source, backend=backend)
        modules, patched, _ = json.loads(script.wait_for_notes("looked")[0][1])
        assert modules == (["eventlet", "greenlet"] if backend == "eventlet" else [])
        assert not patched, "a program patches itself, or does not"
        for pid in (script.pid, *script.workers()):
            assert ("greenlet" in proc.maps(pid)) is (backend == "eventlet")
        assert script.stop() == 0
