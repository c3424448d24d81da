"""What `launcher.oslo.service` does, in the programs that call it; docs/oslo.md says what differs from oslo.service.

The first three are what the wheel's tests cannot fail on: nobody respawned, nobody killed, nobody watching the parent.
"""

from __future__ import annotations

import json
import os
import re
import socket
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM

import pytest

from tests.functional import proc
from tests.functional.cases import both_backends, both_ways, every_way
from tests.functional.oslo.conftest import SERVICES
from tests.functional.program import ready_workers
from tests.functional.scripts import wait_until_gone
from tests.functional.waiting import wait_for

TWO = f"{SERVICES}service.launch(conf, Oslo(), workers=2).wait()"
ONE = f"{SERVICES}service.launch(conf, Oslo()).wait()"
STUCK = f"""{SERVICES}
class Stuck(Oslo):
    def wait(self):
        note("stuck")
        while True:  # nothing else runs in this process from now on
            pass

service.launch(conf, Stuck(), workers=WORKERS).wait()
"""


def ready(script):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(script.folder / "launcher.sock"))
        client.sendall(b'{"command": "status"}\n')
        return ready_workers(json.loads(client.makefile().readline()))


def pids(script, word, count):
    return [int(line[2]) for line in script.wait_for_notes("service", word, count=count)]


@both_backends
@pytest.mark.parametrize("signum", [SIGTERM, SIGKILL])
def test_a_killed_worker_is_replaced_and_the_other_is_not(run, signum):
    script = run(TWO)
    pids(script, "start", 2)
    victim, other = script.workers()
    os.kill(victim, signum)
    pids(script, "start", 3)
    wait_for(lambda: len(script.workers()) == 2, "two workers")
    assert victim not in script.workers()
    assert other in script.workers()
    assert script.stop() == 0


@both_ways
def test_workers_that_hang_end_with_their_parent(run):
    script = run(STUCK.replace("WORKERS", "2"), graceful_shutdown_timeout=1)
    script.wait_for_notes("stuck", count=2)
    workers = script.workers()
    script.send(SIGKILL)
    wait_until_gone(workers)


@every_way
@pytest.mark.parametrize(("workers", "code"), [(1, 1), (2, 137)])
def test_a_stop_that_takes_too_long_is_cut_and_is_no_success(run, workers, code):
    script = run(STUCK.replace("WORKERS", str(workers)), graceful_shutdown_timeout=1)
    script.wait_for_notes("stuck", count=workers)
    assert script.stop() == code


# Ends


@both_backends
@pytest.mark.parametrize("workers", [1, 2])
def test_a_start_that_fails_ends_the_program_with_1_whatever_it_does_with_the_result(run, workers):
    script = run(
        f"""{SERVICES}
class Broken(Oslo):
    def start(self):
        note("tried")
        raise LookupError("no such region")

service.launch(conf, Broken(), workers={workers}).wait()
""",
        crash_loop_threshold=2,
        backoff_min=0.01,
    )
    assert script.end() == 1
    assert "LookupError: no such region" in script.errors()
    assert len(script.notes("tried")) <= 2 * workers, "it does not fork for ever"


def test_on_crash_loop_backoff_forks_for_ever_as_oslo_service_does(run):
    script = run(
        f"""{SERVICES}
class Broken(Oslo):
    def start(self):
        note("tried")
        sys.exit(3)

service.launch(conf, Broken(), workers=2).wait()
""",
        crash_loop_threshold=2,
        backoff_min=0.01,
        backoff_max=0.02,
        on_crash_loop="backoff",
    )
    script.wait_for_notes("tried", count=6)
    assert script.stop() == 0


@both_backends
def test_a_wait_that_fails_ends_the_worker_with_2(run):
    script = run(
        f"""{SERVICES}
class Broken(Oslo):
    def wait(self):
        if not stopping: raise LookupError("lost")
    def stop(self, graceful=False):
        stopping.append(note("stopped"))
        super().stop(graceful)

stopping = []
service.launch(conf, Broken(), workers=2).wait()
""",
        crash_loop_threshold=1,
    )
    assert script.end() == 2
    assert script.notes("stopped")


@every_way
@pytest.mark.parametrize("source", [ONE, TWO], ids=["one", "two"])
def test_int_drains_as_term_does(run, source):
    script = run(source)
    started = pids(script, "start", 1 if source is ONE else 2)
    assert script.stop(SIGINT) == 0
    assert sorted(pids(script, "stop", len(started))) == sorted(started), "each once, and nothing in the parent"


def test_a_service_is_waited_for_while_it_runs(run):
    script = run(TWO)
    assert sorted(pids(script, "start", 2)) == sorted(pids(script, "wait", 2))
    assert script.stop() == 0


@both_backends
@pytest.mark.parametrize("workers", [1, 2])
def test_a_start_that_never_returns_serves_and_stops(run, workers):
    script = run(
        f"""{SERVICES}
import threading
class Endless(Oslo):
    def start(self):
        super().start()
        while not stopped:
            time.sleep(0.01)
    def stop(self, graceful=False):
        stopped.append(True)
        super().stop(graceful)

stopped = []
service.launch(conf, Endless(), workers={workers}).wait()
""",
        startup_timeout=0.3,
    )
    started = pids(script, "start", workers)
    if workers > 1:
        wait_for(lambda: len(ready(script)) == workers, "its workers to count as ready")
    assert script.stop() == 0
    assert sorted(pids(script, "stop", workers)) == sorted(started)


# Reloads


@every_way
def test_hup_replaces_workers_one_by_one(run):
    script = run(TWO)
    old = pids(script, "start", 2)
    script.wait_for_errors("is ready", 2)
    script.configure(colour="blue")
    script.send(SIGHUP)
    new = pids(script, "start", 4)[2:]
    pids(script, "stop", 2)
    order = [(word, int(pid)) for _, word, pid, *_ in script.notes("service") if word in {"start", "stop"}]
    assert [word for word, _ in order] == ["start", "start", "start", "stop", "start", "stop"]
    assert {pid for word, pid in order if word == "stop"} == set(old)
    assert [line[3] for line in script.notes("service", "start")[2:]] == ["blue", "blue"]
    assert not set(new) & set(old)
    assert script.stop() == 0


@both_backends
def test_hup_restarts_a_single_service_in_place(run):
    script = run(ONE)
    pids(script, "start", 1)
    script.configure(colour="blue")
    script.send(SIGHUP)
    assert len(set(pids(script, "start", 2))) == 1
    words = [line[1] for line in script.notes("service") if line[1] != "wait"]
    assert words == ["start", "stop", "reset", "start"]
    assert script.notes("service", "start")[1][3] == "blue"
    assert script.stop() == 0


def test_reload_method_reset_keeps_the_workers_of_any_program(run):
    script = run(TWO, reload_method="reset")
    started = pids(script, "start", 2)
    script.wait_for_errors("is ready", 2)
    script.configure(colour="blue", reload_method="reset")
    script.send(SIGHUP)
    assert set(pids(script, "reset", 3)) >= set(started)
    assert len(script.workers()) == 2
    assert script.stop() == 0


@both_backends
def test_hup_mutates_in_place_where_that_is_wanted(run):
    script = run(f"{SERVICES}service.launch(conf, Oslo(), workers=2, restart_method='mutate').wait()")
    started = pids(script, "start", 2)
    script.wait_for_errors("is ready", 2)
    script.configure(colour="blue")
    script.send(SIGHUP)
    assert set(pids(script, "reset", 3)) == {*started, proc.inner(script.pid)}
    pids(script, "wait", 4)  # it is waited for anew
    assert {line[3] for line in script.notes("service", "reset")} == {"blue"}
    assert script.stop() == 0
    assert len(script.notes("service", "start")) == 2


# Options


def test_the_timeout_is_oslo_services_unless_ours_is_set(run):
    script = run(f"""{SERVICES}
def patience(launcher_):
    return launcher_._settings().policy.graceful_shutdown_timeout
running = service.ProcessLauncher(conf)
first = patience(running)
conf.set_override("graceful_shutdown_timeout", 0)
second = patience(running)
conf.set_override("graceful_shutdown_timeout", 5, "launcher")
note("timeouts", first, second, patience(running))
""")
    assert script.wait_for_notes("timeouts") == [["timeouts", "60.0", "inf", "5.0"]]
    assert script.end() == 0


def test_a_second_launcher_in_the_process_is_stopped_as_well(run):
    script = run(f"""{SERVICES}
class Other(Oslo):
    name = "other"

workers = service.ProcessLauncher(conf)
workers.launch_service(Other(), workers=2)
here = service.launch(conf, Oslo())
threads = [eventlet.spawn(each.wait) for each in (workers, here)]
for thread in threads:
    thread.wait()
""")
    pids(script, "start", 1)
    script.wait_for_notes("other", "start", count=2)
    assert script.stop() == 0
    assert len(script.notes("other", "stop")) == 2
    assert len(script.notes("service", "stop")) == 1


def test_a_wait_that_is_killed_stops_the_workers(run):
    script = run(f"""{SERVICES}
running = service.launch(conf, Oslo(), workers=2)
waiting = eventlet.spawn(running.wait)
while not (HERE / "kill").exists():
    eventlet.sleep(0.01)
waiting.kill()
note("code", running.wait())
""")
    started = pids(script, "start", 2)
    script.wait_for_errors("is ready", 2)
    script.tell("kill")
    assert sorted(pids(script, "stop", 2)) == sorted(started)
    assert script.wait_for_notes("code") == [["code", "0"]]
    assert script.end() == 0


def test_a_worker_says_on_stderr_what_it_does(run):
    script = run(TWO)
    script.wait_for_errors("is ready", 2)
    assert script.stop() == 0
    assert re.search(r"Oslo: worker \d+ .* ended: exit code 0", script.errors())
