"""Hooks: in which order, in which process, how often, and what comes of one that fails."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_backends
from tests.functional.program import launcher

if TYPE_CHECKING:
    from tests.functional.program import Program

HOOKED = """
def pre_start(): note("pre_start", os.getpid(), os.getppid())
def preload(conf): note("preload", os.getpid(), conf.launcher.workers)
def post_fork(conf, info): note("post_fork", os.getpid(), info.service, info.slot, info.generation)
def pre_stop(): note("pre_stop", os.getpid(), os.getppid())
def worker_exit(conf, end):
    note("worker_exit", os.getpid(), end.service, end.slot, end.pid, end.exit_code, end.why.replace(" ", "_"))
class Service:
    def __init__(self): note("made", os.getpid())
    def start(self): note("start", os.getpid())
    def stop(self): note("stop", os.getpid())
    def wait(self): pass
    def reset(self): pass
note("import", os.getpid())
"""
ALL = {hook: f"app:{hook}" for hook in ("pre_start", "preload", "post_fork", "pre_stop", "worker_exit")}


def words(program: Program) -> list[str]:
    return [note.split()[0] for note in program.notes()]


@both_backends
def test_hooks_run_in_order_each_in_its_process(program: Program) -> None:
    program.serve(HOOKED, services="app:Service=1", listen=None, **ALL)
    (mold,), (worker,) = program.ask("status")["molds"], program.workers()
    assert program.stop() == 0
    notes = [note.split() for note in program.notes()]
    assert [note[0] for note in notes] == [
        "import",
        "pre_start",
        "preload",
        "post_fork",
        "made",
        "start",
        "pre_stop",
        "stop",
        "worker_exit",
    ]
    process = {note[0]: int(note[1]) for note in notes}
    assert process["import"] == process["preload"] == mold
    assert process["post_fork"] == process["made"] == process["start"] == worker
    own = {process[hook] for hook in ("pre_start", "pre_stop", "worker_exit")}
    assert len(own) == 3
    assert not own & {1, mold, worker}
    assert notes[1][2] == str(mold)
    assert notes[2][2] == "1", "the configuration"
    assert notes[3][2:] == ["Service", "0", "1"]
    assert notes[6][2] == "1", "the supervisor"
    assert notes[8][2:] == ["Service", "0", str(worker), "0", "exit_code_0"]
    program.wait_nothing_left()


@both_backends
def test_a_reload_and_a_new_mold_run_what_belongs_to_a_generation(program: Program) -> None:
    program.serve(HOOKED, services="app:Service=1", listen=None, **ALL)
    before = program.workers()
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    program.wait_for_notes("worker_exit")
    (mold,), workers = program.ask("status")["molds"], program.workers()
    program.signal(signal.SIGKILL, mold)
    program.wait_for_output("the mold of generation 2 ended")
    program.signal(signal.SIGKILL, workers[0])
    workers = program.wait_replaced(workers)  # there is a new mold by then
    told = "hook worker_exit was not run: no mold is loaded"
    program.wait_for(lambda: told in program.output() or len(program.wait_for_notes("worker_exit")) == 2, "the hook")
    program.signal(signal.SIGKILL, workers[0])
    program.wait_replaced(workers)
    program.wait_for(lambda: ends(program)[1:] and ends(program)[-1] == ["137", "killed_by_KILL"], "its end")
    assert program.stop() == 0
    found = words(program)
    assert found.count("pre_start") == found.count("pre_stop") == 1
    assert found.count("preload") == found.count("import") == 3
    assert found.count("post_fork") == found.count("made") == 4
    assert ends(program)[0] == ends(program)[-1] == ["0", "exit_code_0"]


def ends(program: Program) -> list[list[str]]:
    return [note.split()[5:] for note in program.wait_for_notes("worker_exit")]


FAILS = """
def fine(): note("fine", os.getpid())
def fails(): raise LookupError("no such table")
def ends(): sys.exit(3)
def succeeds(): sys.exit(0)
def hangs(): note("hangs"); wait_for_gate(real_sleep)
def dies(): os.kill(os.getpid(), 9)
import sys
"""


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            {"pre_start": "app:fails"},
            r"pre_start = app:fails \(.*conf:\d+\) failed: LookupError: no such table \(.*app.py:\d+\)",
        ),
        ({"pre_start": "app:ends"}, r"pre_start = app:ends \(.*conf:\d+\) failed: SystemExit: 3 \(.*app.py:\d+\)"),
        ({"pre_start": "app:dies"}, r"pre_start = app:dies \(.*conf:\d+\): killed by KILL"),
        (
            {"pre_start": "app:hangs", "pre_start_timeout": "0.2"},
            r"pre_start = app:hangs \(.*conf:\d+\): did not end within 0.2 s",
        ),
        (
            {"preload": "app:fails"},
            r"preload = app:fails \(.*conf:\d+\) failed: LookupError: no such table \(.*app.py:\d+\)",
        ),
    ],
)
def test_a_hook_that_fails_before_the_workers_fails_the_start(
    program: Program, options: dict[str, str], reason: str
) -> None:
    program.write_app(HOOKED + FAILS)
    program.configure(services="app:Service=2", listen=None, **options)
    program.start()
    assert program.wait_ended() == 78
    assert len(program.errors()) == 1
    program.wait_for_output(f"launcher: error: {reason}")
    assert "start" not in words(program)
    raises = "app:fails" in options.values()
    assert program.output().count("Traceback") == int(raises) + ("app:ends" in options.values())
    assert "launcher/worker" not in program.output()


def test_a_pre_start_that_exits_with_0_has_succeeded(program: Program) -> None:
    program.serve(HOOKED + FAILS, services="app:Service=1", listen=None, pre_start="app:succeeds")
    assert program.stop() == 0


def test_the_time_of_pre_start_is_not_that_of_loading(program: Program) -> None:
    program.write_app(HOOKED + "def slow(): note('slow'); time.sleep(3); note('over')\n")
    program.configure(services="app:Service=1", listen=None, pre_start="app:slow", startup_timeout=2)
    program.start()
    program.wait_for_notes("over")
    program.wait_ready(1)
    assert program.stop() == 0


def test_a_stop_ends_a_pre_start_that_does_not_end(program: Program) -> None:
    program.write_app(HOOKED + FAILS)
    program.configure(services="app:Service=1", listen=None, pre_start="app:hangs")
    program.start()
    program.wait_for_notes("hangs")
    assert program.stop() == 0
    program.wait_nothing_left()


def test_a_reload_during_pre_start_begins_it_anew(program: Program) -> None:
    program.write_app(HOOKED + "def slow(): note('slow'); wait_for_gate(); note('over')\n")
    program.configure(services="app:Service=1", listen=None, pre_start="app:slow")
    program.start()
    program.wait_for_notes("slow")
    program.signal(signal.SIGHUP)
    program.wait_for_notes("slow", 2)
    program.open_gate()
    program.wait_ready(1)
    assert program.stop() == 0
    assert words(program).count("over") == words(program).count("start") == 1, "the first was ended with its mold"


def test_a_pre_stop_that_hangs_is_not_waited_for_for_ever(program: Program) -> None:
    options = {"pre_stop": "app:hangs", "pre_stop_timeout": 0.5}
    program.serve(HOOKED + FAILS, services="app:Service=1", listen=None, **options)
    assert program.stop() == 0
    assert words(program)[-2:] == ["hangs", "stop"]
    program.wait_nothing_left()


def test_a_pre_stop_without_a_mold_is_told_and_not_waited_for(program: Program) -> None:
    program.serve(HOOKED, services="app:Service=1", listen=None, pre_stop="app:pre_stop", pre_stop_timeout=1000)
    program.write_app(HOOKED + "wait_for_gate(real_sleep)\n")
    program.signal(signal.SIGKILL, program.ask("status")["molds"][0])
    program.wait_for_output("the mold of generation 1 ended")
    assert program.stop() == 0
    program.wait_for_output("hook pre_stop was not run: no mold is loaded")
    assert "pre_stop" not in words(program)


def test_a_preload_that_fails_refuses_the_reload(program: Program) -> None:
    program.serve(HOOKED + FAILS, services="app:Service=1", listen=None, preload="app:fine")
    before = program.workers()
    program.configure(services="app:Service=1", listen=None, preload="app:fails")
    program.signal(signal.SIGHUP)
    program.wait_for_output("ERROR .*reload refused: preload = app:fails .*LookupError: no such table")
    assert program.workers() == before
    assert program.stop() == 0


@both_backends
def test_a_post_fork_that_fails_is_a_worker_that_fails(program: Program) -> None:
    program.write_app(HOOKED + FAILS)
    program.configure(services="app:Service=1", listen=None, post_fork="app:ends", crash_loop_threshold=2)
    program.start()
    assert program.wait_ended() == 3
    assert "crash loop" in program.errors()[0]
    assert "made" not in words(program)


def test_a_worker_exit_that_fails_or_hangs_is_only_told(program: Program) -> None:
    program.serve(HOOKED + FAILS, services="app:Service=2", listen=None, worker_exit="app:fails")
    workers = program.workers()
    program.signal(signal.SIGKILL, workers[0])
    program.wait_for_output(r"hook worker_exit: process \d+ ended: exit code 1")
    program.wait_for_output("launcher: error: worker_exit = app:fails .* failed: LookupError: no such table")
    assert program.wait_replaced(workers[:1])[1] == workers[1]
    before = program.workers()
    program.configure(services="app:Service=2", listen=None, worker_exit="app:hangs")
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    program.wait_for_notes("hangs")
    assert program.stop() == 0
    program.wait_nothing_left()


def test_a_hook_that_does_not_exist_is_found_by_check(program: Program) -> None:
    program.write_app(HOOKED)
    program.configure(services="app:Service", listen=None, pre_start="app:pre_strat", preload="app:preload")
    checked = launcher(program, "check", "--config-file", str(program.conf))
    assert checked.returncode == 78
    (line,) = checked.stderr.splitlines()
    assert line.startswith("launcher: error: pre_start = app:pre_strat (")
    assert line.endswith('): module app has no attribute pre_strat; did you mean "pre_start"?')
