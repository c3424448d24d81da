"""The README's example of timers and periodic methods does what is written beside it, on both backends."""

from __future__ import annotations

import re
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from launcher.service.services import Services
from launcher.worker import backends

README = (Path(__file__).parents[2] / "README.md").read_text()
PATIENCE = 10.0  # seconds


@pytest.fixture(params=sorted(backends.KINDS))
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


class Shop:
    """What the example imports."""

    def __init__(self):
        self.directory = self.queue = self
        self.names, self.jobs = [], 3

    def register(self, name):
        self.names.append(name)

    def do_one(self):
        self.jobs -= 1
        return self.jobs


def wait_until(backend, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        backend.sleep(0.001)


def test_the_example(backend, monkeypatch):
    shop, module = Shop(), SimpleNamespace()
    monkeypatch.setitem(sys.modules, "shop", shop)
    (example,) = re.findall(r"### Timers and periodic methods\n\n```python\n(.*?)```", README, re.DOTALL)
    exec(example, vars(module))  # noqa: S102 - it is ours
    collector, services = module.Collector(), Services()
    services.add(collector)
    wait_until(backend, lambda: len(collector.tg.timers) == 3)
    work, sweep, report = collector.tg.timers
    assert [timer.name for timer in (work, sweep, report)] == ["Collector.work", "Collector.sweep", "Collector.report"]
    wait_until(backend, lambda: work.progress.ticks == 3)
    wait_until(backend, lambda: report.progress.ticks == 1)
    services.stop()
    services.wait()
    assert (shop.names, shop.jobs, sweep.progress.ticks, collector.tg.timers) == (["collector"], 0, 0, [])
