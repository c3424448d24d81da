"""nova-conductor as the package index has it is PID 1 under launcher.oslo; `make openstack` runs more of its kind."""

from __future__ import annotations

from signal import SIGTERM

import pytest

from tests.integration.harness import PATIENCE, wait_for
from tests.openstack.programs import CONDUCTOR
from tests.openstack.station import LAUNCHER, Station, build, options

GRACE = 10.0  # seconds: what `docker stop` gives


@pytest.fixture(scope="module")
def image(engine) -> None:
    build(CONDUCTOR.project)


@pytest.fixture
def conductor(run_container, image) -> Station:
    box = run_container(wait=False, read_only=False, **options(CONDUCTOR, LAUNCHER))
    station = Station(box.container, CONDUCTOR)
    assert station.seconds_to_start(PATIENCE) is not None
    return station


def test_a_worker_is_replaced_orphans_are_reaped_and_term_ends_it(conductor):
    workers = conductor.workers()
    assert len(workers) == CONDUCTOR.workers
    assert 1 not in workers
    assert conductor.observe("respawn", str(min(workers))) is not None
    wait_for(lambda: len(conductor.starts()) == CONDUCTOR.workers + 1, "a replacement that has started")
    assert conductor.observe("orphans", "5") == 0
    assert len(conductor.workers() & workers) == CONDUCTOR.workers - 1
    end = conductor.ended_by("TERM", GRACE)
    assert end is not None
    assert end.code == 0


def test_hup_brings_a_value_to_every_worker(conductor):
    workers = conductor.workers()
    conductor.change()
    conductor.signal("HUP")
    conductor.said("debug changed from [false] to [true]", times=CONDUCTOR.workers)
    assert conductor.workers() == workers  # nova asks for restart_method="mutate"
    assert all(conductor.has_changed(pid) for pid in sorted(workers))


def test_int_lets_it_finish(conductor):
    end = conductor.ended_by("INT", GRACE)
    assert end is not None
    assert end.code == 0


def test_term_while_it_is_imported_ends_it(run_container, image):
    box = run_container(wait=False, read_only=False, **options(CONDUCTOR, LAUNCHER))
    station = Station(box.container, CONDUCTOR)
    wait_for(lambda: station.observe("catches", str(SIGTERM)), "a Python that runs")  # the kernel drops it before
    end = station.ended_by("TERM", GRACE)
    assert end is not None
    assert end.code == 128 + SIGTERM
    assert not station.starts()
