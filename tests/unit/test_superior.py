"""What of the environment is meant for us."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf

import pytest

from launcher.supervisor.superior import LONGEST, SHORTEST, Superior


def test_nobody_wants_to_know():
    environ = {"WATCHDOG_USEC": "1000000", "HOME": "/"}
    assert Superior.of(environ) == Superior("", inf, None)
    assert environ == {"HOME": "/"}


def test_everything_is_taken_out():
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    assert Superior.of(environ) == Superior("/x", 3.0, None)
    assert environ == {}


@pytest.mark.parametrize(
    ("microseconds", "seconds"),
    [("", inf), ("0", inf), ("-1", inf), ("1e6", inf), ("٣", inf), ("1", 2 * SHORTEST), ("9" * 20, LONGEST)],
)
def test_a_patience_that_makes_no_sense(microseconds, seconds):
    assert Superior.of({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": microseconds}).patience == seconds


def test_another_process_is_meant():
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getppid())}
    assert Superior.of(environ) == Superior("/x", inf, None)


STARTED = """
import os
from launcher.supervisor.superior import Superior
print(Superior.of({"NOTIFY_SOCKET": "/x", "SYSTEMD_EXEC_PID": str(STARTER)}).main_pid == os.getpid())
"""


@pytest.mark.parametrize(("started", "is_told"), [("os.getppid()", "True"), ("os.getpid()", "False")])
def test_a_parent_that_has_not_executed_us(started, is_told):
    # In a child of ours: this process may be PID 1, and that one has no parent to speak of.
    code = STARTED.replace("STARTER", started)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == is_told
