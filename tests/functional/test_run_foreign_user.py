"""Workers of another user, which a launcher without CAP_KILL may not signal."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.functional import proc
from tests.functional.cases import both_ways

WITHOUT_KILL = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill")
NOBODY = 65534
CHANGES_ITS_USER = f"{sys.executable} -c 'import os, time; os.setgid({NOBODY}); os.setuid({NOBODY}); time.sleep(1000)'"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@both_ways
def test_who_may_not_be_signalled_holds_up_nobody(program):
    program.configure(listen=None, command=f"web:{CHANGES_ITS_USER}", graceful_shutdown_timeout=0.5)
    program.start(inside=WITHOUT_KILL)
    (pid,) = program.wait_ready()
    program.wait_for(lambda: proc.field(program.outer(pid), "Uid").split()[0] == str(NOBODY), "another user")
    program.signal(signal.SIGUSR1)
    program.wait_for_output(f"not permitted to send USR1 to {pid}, which has another user")
    assert program.stop() == 137
    assert program.errors() == [
        f"launcher: error: web: worker {pid} did not end in time and may not be killed: it has another user"
    ]
    assert "Traceback" not in program.output()
