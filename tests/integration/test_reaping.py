"""What workers leave behind: PID 1 gets it and buries it."""

from __future__ import annotations

from tests.integration.harness import both_backends

COUNT = 100


@both_backends
def test_orphans_are_reaped(run_container):
    box = run_container("app:api=2")
    workers = box.await_workers(2)
    assert box.get(f"/orphans?count={COUNT}").status == 200
    living = box.await_no_zombies()
    assert box.await_workers(2) == workers
    # The second half sleeps for a second before it dies.
    assert {process.parent for process in living.values() if process.command[:1] == ["sleep"]} <= {1}


def test_zombies_of_a_worker_are_reaped_when_it_is_gone(run_container):
    box = run_container("app:api=1")
    (worker,) = box.await_workers(1)
    box.get(f"/zombies?count={COUNT}")
    dead = [process for process in box.processes().values() if process.state == "Z"]
    assert len(dead) == COUNT
    assert {process.parent for process in dead} == {worker}
    box.kill_worker(worker)
    box.await_workers(1, without={worker})
    box.await_no_zombies()


def test_a_stop_ends_orphans_that_ignore_term_too(run_container):
    box = run_container("app:api=1")
    box.get("/daemon")
    assert box.stop() == 0
