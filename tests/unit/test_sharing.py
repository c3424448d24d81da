"""Whose child it is: each case in a Python of its own, for births are noted by wrapping what makes processes."""

from __future__ import annotations

import subprocess
import sys

BEGIN = """
import os, subprocess, sys, time
early = subprocess.Popen(["true"])
from launcher.supervisor import sharing
from launcher.supervisor.libc import PR_SET_CHILD_SUBREAPER, is_subreaper, prctl

assert not sharing.adopts()
prctl(PR_SET_CHILD_SUBREAPER, 1)
assert sharing.adopts()
asked = []
reaper = sharing.SharingReaper(workers := set(), asked.append)

def ended(count):
    "Wait until so many children are dead; return them."
    while len(dead := [pid for pid in sharing.children() if sharing._look(os.P_PID, pid)]) < count:
        time.sleep(0.01)
    return dead

def orphan():
    subprocess.run(["sh", "-c", "exit 9 &"], check=True)
"""


def works(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_whatever_python_makes_is_the_programs_own():
    works("""
import pty
forks = [os.fork() or os._exit(1), pty.fork()[0] or os._exit(1)]
spawned = [make("/bin/true", ["true"], os.environ) for make in (os.posix_spawn, os.posix_spawnp)]
late = subprocess.Popen(["true"])
children = [early.pid, late.pid, *forks, *spawned]
assert sorted(ended(6)) == sorted(children)
assert reaper.reap() == [] and not asked
assert sorted(ended(6)) == sorted(children)
""")


def test_an_orphan_is_taken_once_it_was_left_alone_for_a_while():
    works("""
first = subprocess.Popen(["true"])  # hides it from whoever takes the first that is dead
orphan()
ended(3)
assert reaper.reap() == [] and asked == [sharing.PATIENCE]
assert reaper.reap() == [] and len(asked) == 1
time.sleep(sharing.PATIENCE)
((_, status),) = reaper.reap()
assert status == 9
assert len(ended(2)) == 2
""")


def test_a_worker_is_taken_at_once_and_not_by_another_launcher():
    works("""
other = sharing.SharingReaper(set(), asked.append)
pid = sharing.posix.fork.__wrapped__() or os._exit(4)
workers.add(pid)
ended(2)
assert other.reap() == [] and not asked
assert reaper.reap() == [(pid, 4)]
""")


def test_a_number_that_comes_again_is_not_the_old_child():
    works("""
orphan()
(pid,) = set(ended(2)) - {early.pid}
sharing.BIRTHS._noted[pid] = "1"  # one of this number was started in another tick
assert not sharing.BIRTHS.is_own(pid)
sharing.BIRTHS._under_way.add("birth")
assert sharing.BIRTHS.is_own(pid), "nobody unknown is taken while one is being made"
""")


def test_births_that_are_over_are_forgotten():
    works("""
sharing.MANY, sharing.BIRTHS._look_through_at = 3, 3
for _ in range(20):
    subprocess.run(["true"], check=True)
assert len(sharing.BIRTHS._noted) <= 8
""")


def test_nobody_but_workers_is_taken_where_no_orphans_come():
    works("""
prctl(PR_SET_CHILD_SUBREAPER, 0)
alone = sharing.SharingReaper(set(), asked.append)
os.kill(os.getpid(), 0)
sharing.BIRTHS._noted.clear()
ended(1)
time.sleep(sharing.PATIENCE)
assert alone.reap() == [] and alone.reap() == [] and not asked
assert early.wait() == 0
""")
