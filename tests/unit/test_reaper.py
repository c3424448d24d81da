"""Reaping, adopting and sweeping, by real processes."""

from __future__ import annotations

REAPER = """
import os, signal, sys, time
from launcher.supervisor import reaper

def child(call):
    pid = os.fork()
    if pid == 0:
        call()
        os._exit(0)
    return pid

def wait_until_dead(pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

def sleep_for_ever():
    while True:
        signal.pause()

def deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(ready[1], b".")
    sleep_for_ever()

def obedient():
    os.write(ready[1], b".")
    sleep_for_ever()

def leaves(orphan):
    def between():
        if os.fork() == 0:
            os.setsid()
            orphan()
    return between

def wait_for_ready(count):
    while count:
        count -= len(os.read(ready[0], count))

ready = os.pipe()
"""


def test_one_call_takes_all_the_dead_with_their_statuses(python):
    python(
        REAPER
        + """
pids = [child(lambda: os._exit(code)) for code in (0, 1, 78, 255)]
pids.append(child(lambda: os.kill(os.getpid(), signal.SIGKILL)))
for pid in pids:
    wait_until_dead(pid)
assert dict(reaper.reap()) == dict(zip(pids, (0, 1, 78, 255, -9)))
assert list(reaper.reap()) == []
"""
    )


def test_a_living_child_is_not_waited_for(python):
    python(
        REAPER
        + """
pid = child(sleep_for_ever)
assert list(reaper.reap()) == []
os.kill(pid, signal.SIGTERM)
wait_until_dead(pid)
assert list(reaper.reap()) == [(pid, -signal.SIGTERM)]
"""
    )


def test_a_child_in_another_process_group_is_reaped_too(python):
    python(
        REAPER
        + """
pid = child(os.setsid)
wait_until_dead(pid)
assert list(reaper.reap()) == [(pid, 0)]
"""
    )


def test_eventlets_waiting_is_not_used(python):
    python(
        "import eventlet; eventlet.monkey_patch()"
        + REAPER
        + """
pid = child(lambda: os._exit(3))
wait_until_dead(pid)
assert list(reaper.reap()) == [(pid, 3)]
"""
    )


def test_orphans_are_adopted(python):
    python(
        REAPER
        + """
assert reaper.adopt_orphans()
me = os.getpid()

def orphan():
    while os.getppid() != me:
        time.sleep(0.005)
    os._exit(7)

middle = child(leaves(orphan))
wait_until_dead(middle)
statuses = {}
while len(statuses) < 2:
    statuses |= reaper.reap()
    time.sleep(0.005)
assert statuses.pop(middle) == 0
assert list(statuses.values()) == [7]
"""
    )


def test_a_sweep_ends_whatever_is_left(python):
    python(
        REAPER
        + """
assert reaper.adopt_orphans()
pids = [child(obedient), child(deaf), child(leaves(deaf)), child(leaves(obedient))]
wait_for_ready(4)
reaper.sweep(grace=0.3)
assert not any(map(lives, pids))
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    sys.exit(0)
sys.exit("children are left")
"""
    )


def test_a_sweep_asks_first(python):
    printed = python(
        REAPER
        + """
def polite():
    signal.signal(signal.SIGTERM, lambda *_: (print("asked", flush=True), os._exit(0)))
    os.write(ready[1], b".")
    sleep_for_ever()

child(polite)
wait_for_ready(1)
reaper.sweep(grace=20)
"""
    )
    assert printed == "asked\n"


def test_a_sweep_with_nobody_left_does_not_wait(python):
    python(REAPER + "child(lambda: None)\nreaper.sweep(grace=1000)")
