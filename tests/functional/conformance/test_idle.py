"""With nothing to do the init does nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import both_ways
from tests.functional.conformance.harness import PATIENCE
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

WHILE = 2.2  # seconds: what wakes up once a second shows


def switches(pid: int) -> tuple[str, str]:
    return proc.field(pid, "voluntary_ctxt_switches"), proc.field(pid, "nonvoluntary_ctxt_switches")


def settled(pid: int) -> bool:
    """Whether nothing has happened for a moment."""
    before = switches(pid)
    time.sleep(0.1)
    return switches(pid) == before


@both_ways
def test_no_context_switch(start: Starter) -> None:
    init = start.payload("signals")
    pid = init.pid
    wait_for(lambda: settled(pid), "the end of the start", PATIENCE)
    before = switches(pid)
    time.sleep(WHILE)
    assert switches(pid) == before


@both_ways
def test_one_thread(start: Starter) -> None:
    init = start.payload("signals")
    assert proc.field(init.pid, "Threads") == "1"
