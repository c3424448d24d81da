"""What `launcher exec` says, and what it leaves behind of it: nothing."""

from __future__ import annotations

import os

from launcher.init import report
from launcher.supervisor.stderr import STDERR


def test_a_line_leaves_no_descriptor_open():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, STDERR)
        before = os.dup(write)  # the lowest number that is free
        for _ in range(3):
            report.reaped(7)
        os._exit(os.dup(write) != before + 1)
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.read(read, 4096).count(b"launcher: warning: reaped PID 7") == 3
    os.close(read)
