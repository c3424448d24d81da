"""TERM while a service's `start()` is under way: what that begins afterwards is stopped as well."""

from __future__ import annotations

import pytest

from tests.functional.cases import both_backends

LAUNCH = "sys.exit(service.launch(conf, Slow(), workers={}).wait())"
SLOW = """
from oslo_service import service

class Slow(service.Service):
    is_stopped = has_started = False

    def start(self):
        note("starts")
        while not self.is_stopped:
            time.sleep(0.005)
        self.tg.add_timer(1000, note, 1000, "tick")
        self.has_started = True

    def stop(self, graceful=False):
        super().stop(graceful)
        self.is_stopped = True
        while not self.has_started:
            time.sleep(0.005)


"""


@both_backends
@pytest.mark.parametrize("workers", [1, 2])
def test_start_returns_while_stop_runs(run, workers):
    script = run(SLOW + LAUNCH.format(workers))
    script.wait_for_notes("starts", count=workers)
    assert script.stop() == 0
