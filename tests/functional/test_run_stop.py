"""Stopping: nothing that was begun is lost, what does not end is ended, and it works at any instant."""

from __future__ import annotations

import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import WEB, both_ways, every_way, on_threads
from tests.functional.program import launcher
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tests.functional.program import Program

LONG = 600  # seconds of grace that no test waits for


def ask(pool: ThreadPoolExecutor, program: Program, path: str, count: int) -> list[Future[tuple[int, str]]]:
    """Ask so many times, each on a connection of its own."""
    return [pool.submit(program.get, path) for _ in range(count)]


def connect(program: Program) -> socket.socket:
    """Connect and ask: the kernel takes both, whether somebody accepts or not."""
    client = socket.create_connection(("127.0.0.1", program.port), timeout=30)
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return client


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    with closing(client):
        return b"".join(iter(lambda: client.recv(4096), b""))


def refuses(program: Program) -> bool:
    """Whether new connections are refused."""
    with suppress(ConnectionRefusedError):
        program.get()
        return False
    return True


@every_way
def test_slow_requests_in_flight_finish(program: Program) -> None:
    program.serve(WEB, services="app:web=3", graceful_shutdown_timeout=LONG)
    with ThreadPoolExecutor(12) as pool:
        slow = ask(pool, program, "/slow", 12)
        program.wait_for_notes("begun", 12)
        program.signal(signal.SIGTERM)
        program.wait_for(lambda: refuses(program), "refusal of new connections")
        program.open_gate()
        assert [answer.result()[0] for answer in slow] == [200] * 12
    assert program.wait_ended() == 0
    program.wait_nothing_left()


@every_way
def test_connections_queued_in_the_kernel_are_served(program: Program, backend: str) -> None:
    program.serve(WEB, services="app:web=1", graceful_shutdown_timeout=LONG)
    (worker,) = program.workers()
    with ThreadPoolExecutor(1) as pool:
        stuck = ask(pool, program, "/stuck", 1)
        program.wait_for_notes("begun")
        if backend == "threading":  # it would accept beside the request; the supervisor lets it go on
            program.signal(signal.SIGSTOP, worker)
            program.wait_for(lambda: proc.stands_still(program.outer(worker)), "it to stand still")
        queued = [connect(program) for _ in range(10)]
        program.signal(signal.SIGTERM)
        program.wait_for_output("worker .* gets TERM")
        program.open_gate()
        answers = [read_all(client) for client in queued]
        assert stuck[0].result()[0] == 200
    assert [answer.split()[1] for answer in answers] == [b"200"] * 10
    assert program.wait_ended() == 0


@every_way
@pytest.mark.parametrize("signums", [("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT"), ("SIGQUIT",)])
def test_a_second_int_and_quit_end_at_once(program: Program, signums: tuple[str, ...]) -> None:
    program.serve(WEB, services="app:web=2", graceful_shutdown_timeout=LONG)
    with ThreadPoolExecutor(1) as pool:
        ask(pool, program, "/slow", 1)
        program.wait_for_notes("begun")
        for name in signums[:-1]:
            program.signal(signal.Signals[name])
            program.wait_for(lambda: program.ask("status").get("stopping"), "the stop to begin")
            assert not program.ended()
        program.signal(signal.Signals[signums[-1]])
        assert program.wait_ended() == 137
    program.wait_nothing_left()


STUBBORN = """
import signal, threading
class Stubborn:
    def start(self): {start}
    def stop(self): {stop}
    def wait(self): pass
    def reset(self): pass
"""


IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
BLOCKS = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"


@pytest.mark.parametrize(
    ("start", "stop", "backend"),
    [
        (IGNORES, "pass", "eventlet"),
        (IGNORES, "pass", "threading"),
        (BLOCKS, "pass", "eventlet"),
        ("pass", "wait_for_gate(real_sleep)", "eventlet"),
        ("pass", "wait_for_gate()", "eventlet"),
        ("pass", "wait_for_gate()", "threading"),
    ],
    ids=["ignores-TERM", "ignores-TERM-threading", "blocks-TERM", "stuck-in-stop", "never-ends-stop", "threading"],
    indirect=["backend"],
)
def test_a_worker_that_does_not_end_shows_its_stacks_and_is_killed(program: Program, start: str, stop: str) -> None:
    program.serve(STUBBORN.format(start=start, stop=stop), services="app:Stubborn", graceful_shutdown_timeout=0.5)
    assert program.stop() == 137
    assert "gets ABRT: did not end in time" in program.output()
    assert "Fatal Python error: Aborted" in program.stacks()
    assert len(program.errors()) == 1
    assert "did not end in time and was killed" in program.errors()[0]
    program.wait_nothing_left()


@on_threads
def test_a_term_that_the_main_thread_blocks_reaches_it_through_another(program: Program) -> None:
    program.serve(STUBBORN.format(start=BLOCKS, stop="note('stop')"), services="app:Stubborn")
    assert program.stop() == 0
    assert program.notes() == ["stop"]


def test_a_worker_that_blocks_abrt_too_is_killed(program: Program) -> None:
    start = "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
    program.serve(STUBBORN.format(start=start, stop="pass"), services="app:Stubborn", graceful_shutdown_timeout=0.5)
    assert program.stop() == 137
    assert "gets KILL: did not end in time" in program.output()


def can_be_told(program: Program) -> bool:
    """Whether TERM is blocked or caught: from then on none may be lost.

    Before, nobody can help it: Python has not executed the program's first statement, and the kernel drops the
    signal if this is PID 1, else the process dies of it.
    """
    is_python = proc.command(program.pid).startswith(program.process.args[-6])
    return is_python and signal.SIGTERM in proc.signals(program.pid, "SigBlk") | proc.signals(program.pid, "SigCgt")


@every_way
@pytest.mark.parametrize("part", range(2))
def test_term_at_any_instant_of_the_start_ends_it(make_program: Callable[[], Program], pid1: bool, part: int) -> None:
    for step in range(5):  # in two parts, which may run at the same time
        program = make_program()
        program.write_app(WEB)
        program.configure(services="app:web=2")
        program.start()
        time.sleep((part * 5 + step) * 0.075)  # any instant will do, that is what is tested
        told = can_be_told(program)
        program.signal(signal.SIGTERM)
        if not told and pid1:
            wait_for(lambda: program.ended() or can_be_told(program), "the first statement")  # noqa: B023
            with suppress(ProcessLookupError):
                program.signal(signal.SIGTERM)
        assert program.wait_ended() in ({0} if told or pid1 else {0, -signal.SIGTERM})
        program.wait_nothing_left()


EARLY = """
import os, signal, sys
class Early:
    def find_spec(self, name, path=None, target=None):
        if name == "launcher.cli":
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Early())
"""


@both_ways
def test_term_before_the_first_import_is_honoured(program: Program) -> None:
    program.folder.joinpath("sitecustomize.py").write_text(EARLY)
    program.write_app(WEB)
    program.configure(services="app:web=2")
    program.start(environ={"PYTHONPATH": str(program.folder)})
    assert program.wait_ended() == 0
    assert "is ready" not in program.output()


@every_way
def test_drain_delay_serves_on_but_is_not_ready(program: Program) -> None:
    delay = 3.0
    program.serve(WEB, services="app:web=2", drain_delay=delay)
    before = time.monotonic()
    program.signal(signal.SIGTERM)
    program.wait_for(lambda: program.ask("status").get("stopping"), "the stop to begin")
    assert program.get()[0] == 200
    assert launcher(program, "healthcheck").returncode == 1
    assert launcher(program, "healthcheck", "--live").returncode == 0
    assert program.get()[0] == 200
    assert not re.search("worker .* gets TERM", program.output())
    assert program.wait_ended() == 0
    assert time.monotonic() - before >= delay
