"""Orphans: all end up at the supervisor, none stays a zombie, none disturbs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import WEB, every_way

if TYPE_CHECKING:
    from tests.functional.program import Program

ORPHANS = '''
import os, signal, sys, time

def become_an_orphan():
    """Fork twice, in a session of our own; return in the grandchild only."""
    if os.fork():
        os.wait()
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)

def many():
    for number in range(200):
        if not os.fork():
            become_an_orphan()
            time.sleep(number % 10 * 0.02)
            os._exit(number % 3)
        os.wait()

def note(word):
    with open("notes", "a") as notes:
        print(word, os.getpid(), file=notes)

def tidy():
    become_an_orphan()
    def end(*_):
        note("tidied")
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    note("orphan")
    while True:
        signal.pause()

def stubborn():
    become_an_orphan()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("orphan")
    while True:
        signal.pause()

globals()[sys.argv[1]]()
'''

PARENT = (
    WEB
    + """
import subprocess, sys
def api(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    if name:
        subprocess.run([sys.executable, "-S", "orphans.py", name], check=True)
    return web(environ, start_response)
"""
)


@pytest.fixture
def parent(program: Program) -> Program:
    """A program that makes orphans when it is asked for them by HTTP."""
    program.write_app(ORPHANS, "orphans.py")
    program.serve(PARENT, services="app:api=2", log_level="debug")
    return program


def zombies(program: Program) -> list[int]:
    return [pid for pid in proc.descendants(program.pid) if proc.is_zombie(pid)]


@every_way
def test_two_hundred_orphans_are_reaped(parent: Program) -> None:
    workers = parent.workers()
    processes = len(proc.descendants(parent.pid))
    assert parent.get("/many")[0] == 200
    parent.wait_for(lambda: parent.output().count("reaped orphan") >= 200, "200 orphans to be reaped")
    parent.wait_for(lambda: len(proc.descendants(parent.pid)) == processes, "the orphans to be gone")
    assert zombies(parent) == []
    assert parent.workers() == workers
    assert "WARNING" not in parent.output()
    assert parent.stop() == 0


@every_way
def test_an_orphan_can_clean_up_when_the_program_stops(parent: Program) -> None:
    parent.get("/tidy")
    parent.wait_for_notes("orphan")
    assert parent.stop() == 0
    assert len(parent.wait_for_notes("tidied")) == 1
    parent.wait_nothing_left()


@every_way
def test_an_orphan_that_ignores_term_is_killed_in_the_end(parent: Program) -> None:
    parent.get("/stubborn")
    parent.wait_for_notes("orphan")
    assert parent.stop() == 0
    parent.wait_nothing_left()
