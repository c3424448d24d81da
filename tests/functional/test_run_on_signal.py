"""Signals that an application wants to hear of."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.functional.cases import SERVICE, both_backends
from tests.functional.scripts import starter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.program import Program

HANDLING = (
    SERVICE
    + """
import signal
import launcher
launcher.on_signal("USR1", lambda signum: note("imported", signum))
class Handling(Service):
    def start(self):
        launcher.on_signal("SIGUSR1", self.fail)
        launcher.on_signal(signal.SIGUSR1, self.third)
        launcher.on_signal("USR2", lambda signum: note("usr2", signum))
        launcher.on_signal("WINCH", self.slow)
        launcher.on_signal("RTMIN+1", lambda signum: note("rt", signum))
        launcher.on_signal("ALRM", lambda signum: note("alarm"))
        super().start()
    def fail(self, signum):
        note("fails", signum)
        raise SystemExit("no")
    def third(self, signum):
        note("third", signum)
    def slow(self, signum):
        note("slow", signum)
        wait_for_gate()
        note("done")
"""
)


@both_backends
def test_in_order_each_whatever_the_one_before_does(program: Program) -> None:
    program.serve(HANDLING, services="app:Handling=2", listen=None)
    workers = program.workers()
    program.signal(signal.SIGUSR1)
    program.wait_for_notes("third", 2)
    usr1 = int(signal.SIGUSR1)
    assert sorted(program.notes()[2:]) == sorted(2 * [f"imported {usr1}", f"fails {usr1}", f"third {usr1}"])
    program.wait_for_output("Handling.fail failed")
    program.signal(signal.SIGRTMIN + 1)
    program.wait_for_notes("rt", 2)
    program.signal(signal.SIGALRM, workers[0])
    program.wait_for_notes("alarm", 1)
    program.signal(signal.SIGUSR2, workers[0])
    assert program.wait_for_notes("usr2", 1) == [f"usr2 {int(signal.SIGUSR2)}"]
    assert f"stacks of worker {workers[0]}:" in program.output()
    assert program.workers() == workers
    assert program.stop() == 0
    assert len(program.wait_for_notes("stop", 2)) == 2


@both_backends
def test_a_handler_that_waits_runs_once_more_and_keeps_nobody_from_stopping(program: Program) -> None:
    program.serve(HANDLING, services="app:Handling=1", listen=None)
    (worker,) = program.workers()
    program.signal(signal.SIGWINCH)
    program.wait_for_notes("slow", 1)
    for _ in range(3):
        program.signal(signal.SIGWINCH, worker)
    program.signal(signal.SIGUSR1)  # another one's do not wait for it
    program.wait_for_notes("third", 1)
    program.open_gate()
    program.wait_for_notes("done", 2)
    program.close_gate()
    program.signal(signal.SIGWINCH)
    program.wait_for_notes("slow", 3)
    assert program.stop() == 0
    notes = program.notes()
    assert notes.count("done") in {2, 3, 4}  # the three may have come as two
    assert program.wait_for_notes("stop", 1)


def test_a_copy_of_a_worker_has_each_handler_once(program: Program) -> None:
    program.serve(HANDLING, services="app:Handling=1", listen=None, remold_after=0.1)
    program.wait_for_output("a copy of worker .* is its mold now")
    before = program.workers()
    program.signal(signal.SIGKILL, before[0])
    program.wait_replaced(before)
    program.signal(signal.SIGUSR1)
    program.wait_for_notes("third", 1)
    program.signal(signal.SIGRTMIN + 1)
    program.wait_for_notes("rt", 1)
    words = [note.split()[0] for note in program.notes() if not note.startswith(("start", "stop"))]
    assert words == ["imported", "fails", "third", "rt"]
    assert program.stop() == 0


def test_in_the_one_process_of_a_program_without_workers(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start("""
        launcher.on_signal("USR1", lambda signum: note("got", signum, os.getpid()))
        running = launcher.launch(conf, Recorder())
        launcher.on_signal("USR2", lambda signum: note("got", signum, os.getpid()))
        note("waits")
        sys.exit(running.wait())
        """)
        script.wait_for_notes("waits")
        for count, signum in enumerate((signal.SIGUSR1, signal.SIGUSR2), 1):
            script.send(signum)
            assert script.wait_for_notes("got", count=count)[-1] == ["got", str(int(signum)), str(script.pid)]
        assert script.stop() == 0


def test_in_the_workers_of_a_program_that_forks_them(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start("""
        launcher.on_signal("USR1", lambda signum: note("got", os.getpid()))
        running = launcher.ProcessLauncher(conf)
        launcher.on_signal("USR2", lambda signum: note("got", os.getpid()))
        running.launch_service(Recorder(), workers=2)
        sys.exit(running.wait())
        """)
        script.wait_for_notes("service", "start", count=2)
        workers = sorted(["got", str(pid)] for pid in script.workers())
        script.send(signal.SIGUSR1)
        assert sorted(script.wait_for_notes("got", count=2)) == workers
        script.send(signal.SIGUSR2)
        assert sorted(script.wait_for_notes("got", count=4)) == sorted(workers * 2)
        assert script.stop() == 0


OSLO = """
import launcher.oslo
launcher.oslo.install()
from launcher.oslo._signals import SignalHandler, SignalExit
handlers = SignalHandler()
assert handlers is SignalHandler()
assert handlers.is_signal_supported("SIGUSR1") and not handlers.is_signal_supported("SIGNONSENSE")
assert handlers.signals_to_name[signal.SIGTERM] == "SIGTERM"
handlers.add_handler("SIGNONSENSE", print)
handlers.add_handlers(["SIGUSR1", "SIGTERM"], lambda signo, frame: note("first", signo, frame))
handlers.add_handler("SIGUSR1", lambda signo, frame: note("second", signo, frame))
"""


def test_oslo_service_calls_the_last_one_first(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start(f"""
{OSLO}
running = launcher.launch(conf, Recorder())
note("waits")
sys.exit(running.wait())
        """)
        script.wait_for_notes("waits")
        script.send(signal.SIGUSR1)
        usr1, term = str(int(signal.SIGUSR1)), str(int(signal.SIGTERM))
        script.wait_for_notes("first")
        assert script.notes()[-2:] == [["second", usr1, "None"], ["first", usr1, "None"]]
        assert script.stop() == 0
        assert script.notes("first", term)


def test_oslo_service_without_any_launcher(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start(f"""
{OSLO}
import eventlet
done = eventlet.Event()
handlers.add_handler("SIGUSR2", lambda signo, frame: done.send())
note("waits")
done.wait()
handlers.clear()
assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
end = SignalExit(signal.SIGTERM, 3)
assert end.signo == signal.SIGTERM
raise end
        """)
        script.wait_for_notes("waits")
        script.send(signal.SIGTERM)
        script.wait_for_notes("first")
        script.send(signal.SIGUSR2)
        assert script.end() == 3
