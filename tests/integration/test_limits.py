"""Limits of the container's cgroup, v1 or v2: they hit a worker, and PID 1 mends it."""

from __future__ import annotations

from tests.integration.harness import Call, wait_for

PIDS = 40  # the launcher's few processes, and room for an exec, whose own threads count


def test_a_pids_limit_delays_the_replacement_of_a_worker(run_container):
    box = run_container("app:api=2", pids_limit=PIDS)
    before = box.await_workers(2)
    assert box.get("/hoard").content["error"] == "Resource temporarily unavailable"
    Call(box, "/die")
    # An exec would need a process, and there is none left.
    box.said("cannot fork")
    assert box.get().content["pid"] in before
    box.get("/release")
    wait_for(lambda: box.attempt("true")[0] == 0, "room for another process")
    after = box.await_workers(2)
    assert len(after & before) == 1
    assert box.stop() == 0


def test_a_memory_limit_costs_a_worker_and_not_the_container(run_container):
    box = run_container("app:api=2", mem_limit="256m", memswap_limit="256m")
    before = box.await_workers(2)
    Call(box, "/allocate?megabytes=1000")
    box.said("killed by KILL")
    after = box.await_workers(2)
    assert len(after & before) == 1
    wait_for(box.is_serving, "an answer")
    assert box.state()["Status"] == "running"
    assert box.stop() == 0
