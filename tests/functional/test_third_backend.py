"""A backend is a module and an entry in a table: one of a test's own, on asyncio, runs the same services."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.functional.cases import SERVICE, WEB
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program

INSTALL = f"""
from launcher.worker import backends
backends.KINDS["asyncio"] = backends.Kind("an event loop", has_threads=True)
backends.__path__.append({str(Path(__file__).parent / "third")!r})
"""

TIMED = """
from launcher import Service as Base
from launcher.worker import backends
class Timed(Base):
    def start(self):
        self.tg.add_timer(0.05, note, None, "tick", os.getpid())
        backends.current().spawn(self.greet)
    async def greet(self):
        import asyncio
        await asyncio.sleep(0)
        note("greets", asyncio.get_running_loop().is_running())
"""


def test_it_fits_without_a_change_elsewhere(program: Program) -> None:
    (program.folder / "sitecustomize.py").write_text(INSTALL)
    program.write_app(WEB + SERVICE + TIMED)
    services = "app:web=2, app:Service=1, app:Timed=1"
    program.configure(services=services, backend="asyncio", liveness_timeout=1)
    program.start(environ={"PYTHONPATH": str(program.folder)})
    before = program.wait_ready(4)
    assert program.wait_for_notes("greets") == ["greets True"]
    program.wait_for_notes("tick", 3)
    with Load(program.port, keep_alive=0) as load:
        load.wait_for_more()
        program.signal(signal.SIGUSR2)
        program.wait_for_output(rf"stacks of worker {before[-1]}:(.*\n)+thread loop:")
        program.signal(signal.SIGHUP)
        after = program.wait_replaced(before)
        load.wait_for_more()
    assert load.failures == []
    program.signal(signal.SIGKILL, after[-1])
    program.wait_replaced(after[-1:])
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(program.get, "/slow") for _ in range(4)]
        program.wait_for_notes("begun", 4)
        program.signal(signal.SIGTERM)
        program.wait_for_output("web: worker .* gets TERM: stopping")
        program.open_gate()
        assert [answer.result()[0] for answer in slow] == [200] * 4
    assert program.wait_ended() == 0
    assert "stop" in {note.split()[0] for note in program.notes()}
    program.wait_nothing_left()
