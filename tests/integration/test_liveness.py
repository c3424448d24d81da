"""A worker that hangs is replaced; one that only gets no CPU is not."""

from __future__ import annotations

from tests.integration.harness import Call

ON = {"OS_LAUNCHER__LIVENESS_TIMEOUT": "2"}  # seconds
FIVE_PERCENT = {"cpu_period": 100_000, "cpu_quota": 5_000}


def test_a_worker_that_hangs_is_replaced_and_says_where(run_container):
    box = run_container("app:api=2", environment=ON)
    before = box.await_workers(2)
    Call(box, "/block?seconds=3600")
    box.said("Fatal Python error: Aborted")
    after = box.await_workers(2)
    assert len(after & before) == 1
    box.said("gets ABRT: hangs: busy for 2.")
    box.said(" in block")
    assert box.get().content["pid"] in after
    assert box.stop() == 0


def test_a_worker_that_gets_hardly_any_cpu_is_given_time(run_container):
    box = run_container("app:api=1", environment=ON)
    (worker,) = box.await_workers(1)
    box.container.update(**FIVE_PERCENT)  # not before: a start would take half a minute
    # Eight seconds at least, in one turn of the worker: four times what it may take.
    assert Call(box, "/burn?seconds=0.4").reply().content["pid"] == worker
    assert "ABRT" not in box.logs()
    # What really hangs is found there, too.
    Call(box, "/block?seconds=3600")
    box.said("gets ABRT: hangs: busy for ")
    box.container.update(cpu_quota=100_000)
    box.await_workers(1, without={worker})
    assert box.stop() == 0
