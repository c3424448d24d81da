"""Periodic methods of a service."""

from __future__ import annotations

from importlib import import_module

import pytest

from launcher.service.base import Service
from launcher.service.periodic import periodic
from launcher.service.services import Services
from launcher.worker import backends

PATIENCE = 10.0  # seconds


@pytest.fixture(params=sorted(backends.KINDS))
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


@pytest.fixture
def services(backend):
    services = Services()
    yield services
    services.stop()


class Cleaner(Service):
    def __init__(self, backend):
        super().__init__()
        self.backend = backend
        self.sweeps, self.early = [], []

    def start(self):
        self.rooms = iter(range(1, 1000))
        self.third = self.backend.event()

    @periodic(0.005, run_immediately=True)
    def sweep(self):
        self.sweeps.append(next(self.rooms))
        if len(self.sweeps) == 3:
            self.third.set()

    @periodic(3600)
    def report(self):
        self.early.append("report")


def test_methods_run_again_and_again_once_the_service_has_started(backend, services):
    cleaner = Cleaner(backend)
    services.add(cleaner)
    assert cleaner.third.wait(PATIENCE)
    assert (cleaner.sweeps[:3], cleaner.early) == ([1, 2, 3], [])
    assert len(cleaner.tg.timers) == 2


def test_a_stop_ends_them_and_a_restart_begins_them_anew(backend, services):
    cleaner = Cleaner(backend)
    services.add(cleaner)
    assert cleaner.third.wait(PATIENCE)
    services.restart()
    assert len(cleaner.tg.timers) == 2
    cleaner.stop()
    cleaner.wait()
    assert cleaner.tg.timers == []


def test_a_subclass_inherits_them_and_may_switch_one_off(backend, services):
    class Quiet(Cleaner):
        def sweep(self):
            raise AssertionError("switched off")

        @periodic(3600)
        def rest(self): ...

    quiet = Quiet(backend)
    services.add(quiet)
    assert [timer.name.rpartition(".")[2] for timer in quiet.tg.timers] == ["report", "rest"]


def test_a_decorated_method_is_still_called_by_hand(backend):
    cleaner = Cleaner(backend)
    cleaner.start()
    cleaner.sweep()
    assert cleaner.sweeps == [1]


def test_without_a_group_it_says_what_to_do(services):
    class Bare:
        def start(self): ...

        stop = wait = reset = start

        @periodic(1)
        def tick(self): ...

    with pytest.raises(TypeError, match="Bare has periodic methods but no `tg`: derive it from Service"):
        services.add(Bare())


def test_an_interval_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="interval = 0: must be positive"):
        periodic(0)
