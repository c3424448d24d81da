"""How many workers there are, and when they have done enough: what the options say, without a failed request."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.functional.cases import WEB

if TYPE_CHECKING:
    from tests.functional.program import Program


def test_auto_is_worked_out_anew_with_each_reload(program: Program) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=auto")
    program.start(outside=("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))
    before = program.wait_ready(1)
    program.wait_for_output("INFO .*web: workers = auto is 1 by affinity to 1 CPUs")
    os.sched_setaffinity(program.pid, os.sched_getaffinity(0))
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    program.wait_for_output(f"workers = auto is {len(os.sched_getaffinity(0))} by affinity")
    program.wait_ready(len(os.sched_getaffinity(0)))
