"""When a worker has done enough, it says so once."""

from __future__ import annotations

import pytest

import launcher
from launcher.service import quota
from launcher.supervisor.pacing import lowered


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(quota, "_limit", None)
    return []


def test_it_is_said_once(said):
    quota.limit(3, lambda: said.append("enough"))
    launcher.served()
    launcher.served()
    assert said == []
    for _ in range(5):
        launcher.served()
    assert said == ["enough"]


def test_where_nobody_listens_nothing_happens(said):
    launcher.served()


def app(environ, start_response):
    start_response(environ["status"], [])
    return [b"body"]


def test_an_application_is_counted_and_otherwise_left_alone(said):
    started = []
    quota.limit(2, lambda: said.append("enough"))
    counted = quota.counted(app)
    for status in ("200 OK", "404 Not Found"):
        assert counted({"status": status}, lambda *arguments: started.append(arguments)) == [b"body"]
    assert started == [("200 OK", []), ("404 Not Found", [])]
    assert said == ["enough"]


def test_an_application_that_nobody_counts_is_itself(said):
    assert quota.counted(app) is app


@pytest.mark.parametrize(("draw", "limit"), [(0.0, 1000), (0.5, 950), (0.999, 900.1)])
def test_a_workers_own_limit_is_lower_never_higher(draw, limit):
    assert lowered(1000, 0.1, draw) == pytest.approx(limit)
    assert lowered(1000, 0.0, draw) == 1000
