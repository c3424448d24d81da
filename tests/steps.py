"""How much work a call is, in a number that no other load of the machine changes."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def steps(call: Callable[[], object]) -> int:
    """Count the instructions of Python's that a call executes; the collector and its finalizers wait meanwhile."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _monitored(call) if sys.version_info >= (3, 12) else _traced(call)
    finally:
        if collects:
            gc.enable()


def _traced(call: Callable[[], object]) -> int:
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def _monitored(call: Callable[[], object]) -> int:
    """Do the same where tracing sees a function's instructions only from its second call on."""
    monitoring = sys.monitoring
    count = 0

    def instruction(code, offset):
        nonlocal count
        count += 1

    monitoring.use_tool_id(monitoring.PROFILER_ID, "steps")
    monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.INSTRUCTION, instruction)
    monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.INSTRUCTION)
    try:
        call()
    finally:
        monitoring.set_events(monitoring.PROFILER_ID, 0)
        monitoring.free_tool_id(monitoring.PROFILER_ID)
    return count
