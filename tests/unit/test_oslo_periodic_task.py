"""Periodic tasks of `launcher.oslo` beyond what the wheel's own tests look at."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from launcher.worker import backends

PROGRAM = """
import os, threading
from launcher import oslo

oslo.install()

from oslo_config import cfg
from oslo_service import backend, periodic_task

class Conf:
    run_external_periodic_tasks = True
    def register_opts(self, opts): ...

class Tasks(periodic_task.PeriodicTasks):
    @periodic_task.periodic_task(run_immediately=True)
    def good(self, context):
        with LOCK:
            print(periodic_task.__name__, context, os.getpid() != PARENT, flush=True)

    @periodic_task.periodic_task(run_immediately=True)
    def bad(self, context):
        raise ValueError("broken")

    @periodic_task.periodic_task(run_immediately=True, name="ugly", enabled=bool(os.environ.get("UGLY")))
    def dies(self, context):
        os._exit(1)

LOCK = threading.Lock()
PARENT = int(os.environ.setdefault("PARENT", str(os.getpid())))

if __name__ == "__main__":
    backend.init_backend(backend.BackendType.THREADING)
    LOCK.acquire()  # which a process that is forked now would wait for in vain
    tasks = Tasks(Conf())
    print(tasks.run_periodic_tasks_in_parallel("context", processes=1))
    print(tasks._periodic_last_run["good"] is not None, 59 < tasks.run_periodic_tasks_in_parallel("context") <= 60)
    try:
        Tasks(Conf()).run_periodic_tasks_in_parallel("context", raise_on_error=True, processes=1)
    except Exception as error:
        print(repr(error)[:40])
"""


@pytest.fixture
def run(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def run(**environ):
        return subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=True, env=environ
        )

    return run


def test_tasks_in_parallel_run_elsewhere_with_ours_for_oslo_service(run):
    done = run()
    good = "launcher.oslo.periodic_task context True"
    assert done.stdout.splitlines() == [good, "60.0", "True True", good, "ValueError('broken')"]
    assert "Error during Tasks.bad" in done.stderr
    assert "ValueError: broken" in done.stderr


def test_a_process_that_dies_is_an_error_and_not_the_end_of_waiting(run):
    done = run(UGLY="1")
    assert "Error during Tasks.ugly" in done.stderr
    assert "BrokenProcessPool" in done.stderr


@pytest.fixture
def periodic_task(monkeypatch):
    monkeypatch.setattr(backends, "_selected", import_module("launcher.worker.backends.threading").BACKEND)
    return import_module("launcher.oslo.periodic_task")


class Conf:
    run_external_periodic_tasks = False

    def register_opts(self, opts):
        assert [option.name for option in opts] == ["run_external_periodic_tasks"]


def test_an_argument_of_old_is_refused(periodic_task):
    with pytest.raises(periodic_task.InvalidPeriodicTaskArg, match="creation: ticks_between_runs"):
        periodic_task.periodic_task(ticks_between_runs=3)(print)


def test_what_another_process_could_run_is_left_to_it_where_the_options_say_so(periodic_task):
    ran = []

    class Tasks(periodic_task.PeriodicTasks):
        @periodic_task.periodic_task(spacing=5, run_immediately=True, external_process_ok=True)
        def elsewhere(self, context):
            ran.append("elsewhere")

        @periodic_task.periodic_task(spacing=20, run_immediately=True)
        def here(self, context):
            ran.append(context)

    assert Tasks(Conf()).run_periodic_tasks("here") == 20
    assert ran == ["here"]


def test_a_subclass_has_the_tasks_of_its_base_too_and_the_base_not_its(periodic_task):
    class Base(periodic_task.PeriodicTasks):
        @periodic_task.periodic_task
        def one(self, context): ...

    class Derived(Base):
        @periodic_task.periodic_task(spacing=7)
        def two(self, context): ...

    assert [name for name, _ in Base._periodic_tasks] == ["one"]
    assert [name for name, _ in Derived._periodic_tasks] == ["one", "two"]
    assert Derived._periodic_spacing == {"one": 60.0, "two": 7}


def test_a_kill_is_no_error_of_the_task(monkeypatch, periodic_task, caplog):
    backend = import_module("launcher.worker.backends.eventlet").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)
    inside, after = backend.event(), []

    class Tasks(periodic_task.PeriodicTasks):
        @periodic_task.periodic_task(run_immediately=True)
        def one(self, context):
            inside.set()
            backend.sleep(60)

        @periodic_task.periodic_task(run_immediately=True)
        def two(self, context):
            after.append(context)

    run = backend.spawn(Tasks(Conf()).run_periodic_tasks, "context")
    inside.wait()
    run.kill()
    assert run.wait(10)
    assert (after, caplog.text) == ([], "")


def test_the_options_that_it_has(periodic_task):
    ((group, options),) = periodic_task.list_opts()
    assert (group, [option.name for option in options]) == (None, ["run_external_periodic_tasks"])
