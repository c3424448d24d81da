"""Re-molding: a copy of a warm worker becomes the mold, and nobody notices but by what is there already."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import both_ways
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program

CACHE = """
import threading
cache = {}
def web(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        note("begun", os.getpid())
        wait_for_gate()
    if path == "/fill":
        cache.setdefault("by", os.getpid())
    if path == "/thread":
        from eventlet.patcher import original
        original("threading").Thread(target=wait_for_gate, args=(real_sleep,), daemon=True).start()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s" % str(cache.get("by", "nobody")).encode()]
note("import", os.getpid())
"""
OPTIONS = {"services": "app:web=1", "remold_after": 1, "log_level": "debug"}
TOLD = r"generation \d+: a copy of worker (\d+) is its mold now, (\d+)"


def remolded(program: Program) -> int:
    """Wait until a copy of the worker is the mold, and alone; return its PID."""
    mold = int(program.wait_for_output(TOLD)[2])
    program.wait_for(lambda: program.ask("status")["molds"] == [mold], "the old mold to end")
    return mold


def kill_worker(program: Program) -> list[int]:
    before = program.workers()
    program.signal(signal.SIGKILL, before[0])
    return program.wait_replaced(before[:1])


@both_ways
def test_what_a_worker_has_loaded_is_shared_by_those_that_follow(program: Program) -> None:
    program.serve(CACHE, **OPTIONS)
    (filler,), (first,) = program.workers(), program.ask("status")["molds"]
    assert program.get("/fill") == (200, str(filler))
    mold = remolded(program)
    assert mold != first
    assert program.workers() == [filler]
    for _ in range(2):
        assert kill_worker(program) != [filler]
        assert program.get("/") == (200, str(filler)), "the cache is cold"
    assert len(program.wait_for_notes("import")) == 1
    before = program.workers()
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    assert program.get("/") == (200, "nobody")
    assert len(program.wait_for_notes("import")) == 2
    assert program.stop() == 0
    program.wait_nothing_left()
    assert "Traceback" not in program.output()


def test_a_worker_with_threads_is_not_copied(program: Program) -> None:
    program.serve(CACHE, **OPTIONS)
    molds = program.ask("status")["molds"]
    assert program.get("/thread")[0] == 200
    program.wait_for_output(r"WARNING .*worker \d+ cannot become the mold: its process has other threads")
    kill_worker(program)
    assert program.ask("status")["molds"] == molds
    assert program.stop() == 0
    assert program.output().count("cannot become the mold") == 1


def test_a_worker_is_not_copied_in_the_middle_of_a_request(program: Program) -> None:
    program.serve(CACHE, **OPTIONS)
    with ThreadPoolExecutor(1) as clients:
        slow = clients.submit(program.get, "/slow")
        program.wait_for_notes("begun")
        program.wait_for_output(r"DEBUG .*is asked for a copy")
        assert not re.search(TOLD, program.output())
        program.open_gate()
        assert slow.result()[0] == 200
    remolded(program)
    assert program.stop() == 0


FILES = """
import logging, socket
from pathlib import Path

kept = open("kept", "a")


class Service:
    def start(self):
        note("start", os.getpid())
        self.socket = socket.socket()
        self.log = open("log", "a")
        global mine
        mine = self
    def stop(self): pass
    def wait(self): pass
    def reset(self): pass

mine = None

def post_fork():
    kept.write("%d\\n" % os.getpid())
    kept.flush()
    if mine:
        mine.log.write("%d\\n" % os.getpid())
        mine.log.flush()
        note("socket", os.readlink("/proc/self/fd/%d" % mine.socket.fileno()))
        mine.socket.close()
"""


def links(program: Program, pid: int) -> set[str]:
    return {link for link in proc.descriptors(program.outer(pid)).values() if link.startswith("socket:")}


def test_a_copy_shares_no_descriptor_with_its_worker_but_logs(program: Program) -> None:
    options = {"services": "app:Service=1", "remold_after": 1, "listen": None, "post_fork": "app:post_fork"}
    program.serve(FILES, **options)
    (worker,) = program.workers()
    mold = remolded(program)
    sockets, still = (links(program, pid) for pid in (worker, mold))
    assert sockets
    assert not sockets & still
    (second,) = kill_worker(program)
    assert program.notes()[-1].startswith("start")
    assert "socket /dev/null" in program.notes()
    assert (program.folder / "kept").read_text().split() == [str(worker), str(second)]
    assert (program.folder / "log").read_text().split() == [str(second)]
    assert program.stop() == 0
    assert "Traceback" not in program.output()


def test_nobody_notices_under_load_whoever_dies(program: Program) -> None:
    program.serve(CACHE, **OPTIONS | {"services": "app:web=2"})
    with Load(program.port) as load:
        first = program.ask("status")["molds"]
        mold = remolded(program)
        load.wait_for_more()
        program.signal(signal.SIGKILL, mold)  # the copy; the application is imported once more
        program.wait_for(lambda: program.ask("status")["molds"] not in ([], first, [mold]), "another mold")
        load.wait_for_more()
        for _ in range(3):  # each generation's mold is replaced while it is new
            before = program.workers()
            program.signal(signal.SIGHUP)
            program.wait_replaced(before)
            load.wait_for_more()
        told = len(re.findall(TOLD, program.output()))
        program.wait_for(lambda: len(re.findall(TOLD, program.output())) > told, "the copy")
        load.wait_for_more()
    assert load.failures == []
    assert program.stop() == 0
    program.wait_nothing_left()
    assert "Traceback" not in program.output()


BIG = """
kept = []
def web(environ, start_response):
    if environ["PATH_INFO"] == "/fill":
        kept.append(bytearray(os.urandom(1)) * 50 * 2**20)
    start_response("200 OK", [])
    return [b"%d" % len(kept)]
"""


def test_the_memory_is_shared(program: Program) -> None:
    program.serve(BIG, **OPTIONS)
    program.get("/fill")
    (filler,) = program.workers()
    alone = proc.own_memory(program.outer(filler))
    remolded(program)
    (second,) = kill_worker(program)
    assert program.get() == (200, "1")
    assert alone > 50 * 2**10 > 2 * proc.own_memory(program.outer(second))
    assert program.stop() == 0


def test_a_worker_that_dies_while_it_is_asked_for_a_copy_is_followed_by_the_next(program: Program) -> None:
    program.serve(CACHE, **OPTIONS)
    before, molds = program.workers(), program.ask("status")["molds"]
    with ThreadPoolExecutor(1) as clients:
        slow = clients.submit(program.get, "/slow")
        program.wait_for_output(r"DEBUG .*is asked for a copy")
        program.signal(signal.SIGKILL, before[0])
        assert slow.exception() is not None
    (second,) = program.wait_replaced(before)
    assert program.ask("status")["molds"] == molds
    remolded(program)
    assert f"a copy of worker {second} is its mold now" in program.output()
    assert program.stop() == 0


def test_a_mold_that_dies_while_a_worker_is_asked_for_a_copy_is_loaded_again(program: Program) -> None:
    program.serve(CACHE, **OPTIONS)
    workers, (first,) = program.workers(), program.ask("status")["molds"]
    with ThreadPoolExecutor(1) as clients:
        slow = clients.submit(program.get, "/slow")
        program.wait_for_output(r"DEBUG .*is asked for a copy")
        program.signal(signal.SIGKILL, first)
        program.wait_for(lambda: program.ask("status")["molds"] not in ([], [first]), "another mold")
        program.open_gate()
        assert slow.result()[0] == 200
    remolded(program)
    assert program.workers() == workers
    assert program.stop() == 0
    program.wait_nothing_left()
