"""Workers come and go; requests go on."""

from __future__ import annotations

from tests.integration.harness import both_backends, load, wait_for

CLIENTS = 4


@both_backends
def test_a_killed_worker_is_replaced_while_requests_go_on(run_container):
    box = run_container("app:api=2")
    workers = box.await_workers(2)
    victim = min(workers)
    with load(box, CLIENTS) as seen:
        wait_for(lambda: seen.answered_by == workers, "answers of both workers")
        box.kill_worker(victim)
        now = box.await_workers(2, without={victim})
        wait_for(lambda: now <= seen.answered_by, "answers of the new worker")
    assert now - workers
    assert workers - now == {victim}
    # Whom the dead one was just talking to, and nobody else.
    assert len(seen.failures) <= CLIENTS, seen.failures
    box.said("ended: killed by KILL")


@both_backends
def test_hup_replaces_all_workers_without_a_failed_request(run_container):
    box = run_container("app:api=4")
    before = box.await_workers(4)
    with load(box, CLIENTS) as seen:
        wait_for(lambda: seen.answered_by & before, "answers of the old workers")
        box.signal("HUP")
        after = box.await_workers(4, without=before)
        wait_for(lambda: seen.answered_by & after, "answers of the new workers")
    assert seen.failures == []
    assert {worker["generation"] for worker in box.status()["workers"]} == {2}
    assert not before & box.processes().keys()
    log = box.logs()
    for slot in range(4):  # each stayed until its replacement was ready
        assert log.index(f"(slot {slot}, generation 2) is ready") < log.index(f"(slot {slot}, generation 1) gets TERM")


def test_hup_again_and_again_loses_nothing_either(run_container):
    box = run_container("app:api=2")
    workers = box.await_workers(2)
    with load(box, CLIENTS) as seen:
        for _ in range(3):
            box.signal("HUP")
            workers = box.await_workers(2, without=workers)
    assert seen.failures == []
    assert box.stop() == 0


def test_ttin_and_ttou_change_the_number_of_workers(run_container):
    box = run_container("app:api=1")
    before = box.await_workers(1)
    box.signal("TTIN")
    assert box.await_workers(2) > before
    box.signal("TTOU")
    assert box.await_workers(1) == before


def test_a_copy_of_a_warm_worker_becomes_the_mold(run_container):
    box = run_container("app:api=1", "--remold-after", "5", wait=False)
    wait_for(box.is_serving, "an answer")
    box.get("/keep?megabytes=1")
    (worker,), (first,) = box.await_workers(1), box.status()["molds"]
    wait_for(lambda: len(molds := box.status()["molds"]) == 1 and molds != [first], "another mold, alone")
    box.kill_worker(worker)
    assert box.await_workers(1, without={worker})
    assert box.get("/kept").content["count"] == 1
    assert box.stop() == 0
