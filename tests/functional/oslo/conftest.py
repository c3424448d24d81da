"""Fixtures of the tests of programs written for oslo.service, which are run unmodified."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.functional.scripts import Script

THREADS = "from oslo_service import backend; backend.init_backend(backend.BackendType.THREADING)"
GREEN = "import eventlet; eventlet.monkey_patch()"
SERVICES = """
from oslo_service import service


class Oslo(service.Service):
    name = "service"

    def start(self):
        note(self.name, "start", os.getpid(), conf.colour)

    def stop(self, graceful=False):
        note(self.name, "stop", os.getpid())
        super().stop(graceful)

    def wait(self):
        note(self.name, "wait", os.getpid())
        super().wait()

    def reset(self):
        note(self.name, "reset", os.getpid(), conf.colour)


"""


@pytest.fixture
def run(start: Callable[..., Script], backend: str) -> Callable[..., Script]:
    """Run scripts that know oslo.service only, on the backend that is wanted."""
    before = GREEN if backend == "eventlet" else THREADS

    def run(source: str, **options: object) -> Script:
        return start(source, before=before, by=("-m", "launcher.oslo"), **options)

    return partial(run)
