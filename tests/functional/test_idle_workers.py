"""A worker with nothing to do does nothing at all, and hears a signal all the same, however it is run.

oslo.service needs up to a minute for it: nothing but a timer wakes its hub.
"""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, both_backends
from tests.functional.scripts import starter
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.program import Program
    from tests.functional.scripts import Script

RESTS = 2.0  # seconds, many liveness timeouts
LAUNCH = {
    "ServiceLauncher": "running.launch_service(Recorder())",
    "ProcessLauncher": "running.launch_service(Recorder(), workers=2)",
}


def ran(pid: int) -> dict[str, str]:
    """Return for how long each thread of a process has run, and how often: no system call is made without."""
    return {task.name: (task / "schedstat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()}


def wait_at_rest(pids: list[int]) -> None:
    """Wait until no thread of these processes has run for a while."""

    def rested() -> bool:
        before = [ran(pid) for pid in pids]
        time.sleep(RESTS)
        return [ran(pid) for pid in pids] == before

    wait_for(rested, "everybody to rest")


def launch(stack: ExitStack, folder: Path, launcher: str, backend: str) -> Script:
    folder.mkdir()
    source = f"""
running = launcher.{launcher}(conf, restart_method="mutate")
{LAUNCH[launcher]}
note("waits")
sys.exit(running.wait())
"""
    return stack.enter_context(starter(folder))(source, backend=backend)


def everybody(program: Program, scripts: list[Script]) -> list[int]:
    """Return the workers, and the programs that are supervisor or service themselves."""
    return [
        *map(program.outer, program.workers()),
        *(pid for script in scripts for pid in (script.pid, *proc.descendants(script.pid))),
    ]


@both_backends
def test_who_is_idle_makes_no_system_call_and_obeys_at_once(program: Program, tmp_path: Path, backend: str) -> None:
    with ExitStack() as stack:
        scripts = [launch(stack, tmp_path / name, name, backend) for name in LAUNCH]
        options = {"liveness_timeout": 0.3, "reload_method": "reset"}
        program.serve(WEB + SERVICE, services="app:web=1, app:Service=1", **options)
        assert program.get()[0] == 200
        for script, workers in zip(scripts, (1, 2), strict=True):
            script.wait_for_notes("waits")
            script.wait_for_notes("service", "start", count=workers)
        wait_at_rest(everybody(program, scripts))
        for script in scripts:
            script.configure(colour="blue")
            script.send(signal.SIGHUP)
        program.signal(signal.SIGHUP)
        for script, workers in zip(scripts, (1, 2), strict=True):
            resets = script.wait_for_notes("service", "reset", count=workers)
            assert {line[3] for line in resets} == {"blue"}
        program.wait_for_notes("reset")
        wait_at_rest(everybody(program, scripts))
        assert [script.stop() for script in scripts] == [0, 0]
        assert program.stop() == 0, "within the grace, which is far less than a minute"


TIMERS = """
from launcher import BackOff, Dynamic, Every, Service, periodic


class Timers(Service):
    def start(self):
        for schedule in (Every(3600), Dynamic(3600), BackOff(3600)):
            self.tg.repeat(schedule, self.tick)

    @periodic(3600, run_immediately=True)
    def tick(self): note("tick")
"""


@both_backends
def test_timers_wake_nobody_between_two_ticks_and_a_stop_does_not_wait_for_the_next(program: Program) -> None:
    program.write_app(TIMERS)
    program.configure(services="app:Timers=1", listen=None)
    program.start()
    program.wait_for_notes("tick", count=4)
    wait_at_rest([program.pid, *map(program.outer, program.workers())])
    assert program.stop() == 0
