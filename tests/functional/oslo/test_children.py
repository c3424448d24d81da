"""Children that a program starts itself keep their exit codes, while orphans are reaped beside them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways
from tests.functional.waiting import wait_for

# Small, so that a thousand forks are cheap; each orphan is in a session of its own and outlives its parent.
ORPHANS = """
import os
for _ in range(1000):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while os.getppid() != 1:
                os.sched_yield()
        os._exit(0)
    os.wait()
"""
PARENT = """
import subprocess, threading
from oslo_service import service

class Idle(service.Service):
    pass

def ask():
    early = subprocess.Popen(["sh", "-c", "exit 3"])
    forked = os.fork() or os._exit(4)
    spawned = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], os.environ)
    subprocess.run([sys.executable, "-IS", "orphans.py"], check=True)
    note("system", os.waitstatus_to_exitcode(os.system("sleep 0.1; exit 6")))
    note("orphaned")
    until_told("ask")
    note("codes", early.wait(), *(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in (forked, spawned)))

running = service.launch(conf, Idle(), workers=WORKERS)
threading.Thread(target=ask).start()
sys.exit(running.wait())
"""


def zombies(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():  # each has those that it has started
        with suppress(OSError):  # it has ended meanwhile
            found += [int(child) for child in (thread / "children").read_text().split()]
    return [child for child in found if proc.is_zombie(child)]


@pytest.mark.parametrize(
    ("backend", "workers", "pid1"), [("eventlet", 2, True), ("threading", 1, True)], indirect=["backend", "pid1"]
)
def test_a_thousand_orphans_are_reaped_beside_a_popen(run, tmp_path, workers):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    script = run(PARENT.replace("WORKERS", str(workers)))
    script.wait_for_notes("orphaned")
    assert script.notes("system") == [["system", "6"]]
    wait_for(lambda: len(zombies(script.pid)) == 3, "the orphans to be reaped, and nobody else")
    script.tell("ask")
    assert script.wait_for_notes("codes") == [["codes", "3", "4", "5"]]
    assert script.stop() == 0


@both_ways
def test_a_launcher_of_ours_shares_as_well(start):
    script = start("""
        import subprocess
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Recorder(), workers=2)
        popen = subprocess.Popen(["sh", "-c", "exit 3"])
        code = running.wait()
        note("codes", code, popen.wait())
    """)
    script.wait_for_notes("service", "start", count=2)
    wait_for(lambda: zombies(script.pid), "the end of the child")
    script.send(15)
    assert script.wait_for_notes("codes") == [["codes", "0", "3"]]
    assert script.end() == 0
