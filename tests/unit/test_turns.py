"""Work done one turn after the other, on both backends."""

from __future__ import annotations

from importlib import import_module

import pytest

from launcher.worker import backends
from launcher.worker.turns import Turns

PATIENCE = 10.0  # seconds


@pytest.fixture(params=backends.KINDS)
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


def test_asked_for_meanwhile_it_runs_once_more_and_never_twice_at_a_time(backend):
    begun, may_end, again = backend.event(), backend.event(), backend.event()
    running, most, turns = [], [], []

    def work():
        running.append(1)
        most.append(len(running))
        begun.set()
        may_end.wait(PATIENCE)
        running.pop()
        turns.append(1)
        if len(turns) == 2:
            again.set()

    asked = Turns(work)
    asked.ask()
    assert begun.wait(PATIENCE)
    for _ in range(3):
        asked.ask()
    may_end.set()
    assert again.wait(PATIENCE)
    assert max(most) == 1
    assert len(turns) == 2


def test_what_fails_is_logged_and_may_be_asked_for_again(backend, caplog):
    ended = [backend.event(), backend.event()]
    pending = list(ended)

    def fail():
        pending.pop(0).set()
        raise RuntimeError("broken")

    asked = Turns(fail)
    for end in ended:
        asked.ask()
        assert end.wait(PATIENCE)
    assert "RuntimeError: broken" in caplog.text
