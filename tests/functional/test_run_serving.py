"""Serving with several workers: a killed one is replaced, Ctrl-C ends everything."""

from __future__ import annotations

import os
import pty
import signal
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import WEB, every_way
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program


@every_way
def test_a_killed_worker_is_replaced_while_requests_go_on(program: Program) -> None:
    program.serve(WEB, services="app:web=4")
    before = program.workers()
    with Load(program.port, keep_alive=0, fresh=4) as load:
        load.wait_for_more()
        # A request on the killed worker would be lost with it: so it is idle, and stopped before others come.
        load.pause()
        program.signal(signal.SIGSTOP, before[0])
        program.wait_for(lambda: proc.stands_still(program.outer(before[0])), "it to stand still")
        load.resume()
        load.wait_for_more()
        program.signal(signal.SIGKILL, before[0])
        after = program.wait_replaced(before[:1])
        load.wait_for_more()
    assert load.failures == []
    assert set(before[1:]) < set(after)
    assert len(after) == 4


@every_way
def test_all_workers_serve(program: Program) -> None:
    program.serve(WEB, services="app:web=4")
    workers = {str(pid) for pid in program.workers()}
    with Load(program.port, keep_alive=0, fresh=4) as load:
        program.wait_for(lambda: set(load.answers) == workers, "an answer from every worker")
    assert load.failures == []


@every_way
def test_ctrl_c_at_a_terminal_ends_everything(program: Program) -> None:
    keyboard, terminal = pty.openpty()
    try:
        program.write_app(WEB)
        program.configure(services="app:web=4")
        program.start(outside=("setsid", "--ctty"), stdin=terminal)
        program.wait_ready()
        assert len({os.getpgid(pid) for pid in proc.marked(program.mark)}) == 1, "all are in the foreground"
        os.write(keyboard, b"\x03")
        assert program.wait_ended() == 0
        program.wait_nothing_left()
    finally:
        os.close(keyboard)
        os.close(terminal)
