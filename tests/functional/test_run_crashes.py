"""Services that do not stay up: the container ends with their code and the reason, or goes on."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_backends

if TYPE_CHECKING:
    from tests.functional.program import Program

FAST = {"backoff_min": 0.05, "backoff_max": 0.1, "crash_loop_threshold": 3, "listen": None}

MORTAL = """
import signal
class Service:
    def start(self):
        note("start", os.getpid())
        {start}
    def stop(self): pass
    def wait(self): pass
    def reset(self): pass
"""


def crash(program: Program, start: str, **options: object) -> int:
    """Run a service with this `start()`; return the exit code."""
    program.write_app(MORTAL.format(start=start))
    program.configure(services="app:Service=1", **{**FAST, **options})
    program.start()
    return program.wait_ended()


@pytest.mark.parametrize(
    ("start", "code", "backend"),
    [
        ("os._exit(3)", 3, "eventlet"),
        ("raise SystemExit(4)", 4, "eventlet"),
        ("raise SystemExit(4)", 4, "threading"),
        ("raise RuntimeError('no database')", 1, "eventlet"),
        ("raise RuntimeError('no database')", 1, "threading"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "eventlet"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 139, "eventlet"),
        ("os._exit(0)", 70, "eventlet"),
    ],
    indirect=["backend"],
)
def test_a_crash_loop_ends_the_container_with_the_code_and_the_reason(program: Program, start: str, code: int) -> None:
    log = program.folder / "termination-log"
    log.touch()
    assert crash(program, start, termination_log=log) == code
    assert len(program.wait_for_notes("start")) == 3
    (error,) = program.errors()
    assert "crash loop: 3 failures in a row, the last: Service: worker" in error
    assert log.read_text() == error.removeprefix("launcher: error: ")
    program.wait_nothing_left()


def test_the_termination_log_is_never_created(program: Program) -> None:
    log = program.folder / "termination-log"
    assert crash(program, "os._exit(3)", termination_log=log) == 3
    assert not log.exists()


@both_backends
def test_a_start_that_hangs_is_bounded(program: Program) -> None:
    assert crash(program, "wait_for_gate()", startup_timeout=1.5, crash_loop_threshold=1) == 134  # ABRT
    assert "gets ABRT: did not get ready in time" in program.output()
    assert "Fatal Python error: Aborted" in program.stacks()


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("os._exit(3)", 78),
        ("os._exit(0)", 78),
        ("raise KeyboardInterrupt", 78),
        ("os.kill(os.getpid(), 9)", 137),
    ],
)
def test_an_import_that_ends_its_process_is_an_application_that_cannot_be_loaded(
    program: Program, statement: str, code: int
) -> None:
    program.write_app(statement)
    program.configure(services="app:Service=1", **FAST)
    program.start()
    assert program.wait_ended() == code
    (error,) = program.errors()
    assert error.startswith("launcher: error: ")


def test_an_import_that_hangs_is_bounded(program: Program) -> None:
    program.write_app("wait_for_gate(real_sleep)")
    program.configure(services="app:Service=1", startup_timeout=1.5, **FAST)
    program.start()
    assert program.wait_ended() == 134  # ABRT
    (error,) = program.errors()
    assert "the mold did not load the application within startup_timeout" in error
    assert "in wait_for_gate" in program.stacks(), "the stacks say where"


def test_an_import_that_hangs_in_a_reload_is_refused(program: Program) -> None:
    program.serve(MORTAL.format(start="pass"), services="app:Service=1", listen=None, startup_timeout=5)
    before = program.workers()
    program.write_app("wait_for_gate(real_sleep)")
    program.signal(signal.SIGHUP)
    program.wait_for_output("ERROR .*reload refused: the mold did not load the application within startup_timeout")
    assert program.workers() == before
    assert program.stop() == 0


def test_backoff_goes_on_until_it_works(program: Program) -> None:
    program.write_app(MORTAL.format(start="Path('gate').exists() or os._exit(3)"))
    program.configure(services="app:Service=2", **FAST, on_crash_loop="backoff")
    program.start()
    program.wait_for_output("ERROR .*crash loop: .*going on")
    program.wait_for_notes("start", 6)
    assert not program.ended()
    program.open_gate()
    program.wait_ready(2)
    assert program.stop() == 0


@both_backends
def test_a_worker_that_dies_after_it_was_ready_is_replaced_at_once(program: Program) -> None:
    start = (
        "Path('once').exists() or (Path('once').touch(), __import__('threading').Timer(0.5, os._exit, (5,)).start())"
    )
    program.write_app(MORTAL.format(start=start))
    program.configure(services="app:Service=1", listen=None)
    program.start()
    program.wait_for_output("worker .* ended: exit code 5")
    program.wait_for_notes("start", 2)
    program.wait_ready(1)
    assert program.stop() == 0
