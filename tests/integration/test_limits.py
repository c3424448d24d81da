"""Limits of the container's cgroup, v1 or v2: they hit a worker, and PID 1 mends it."""

from __future__ import annotations

import os

import pytest

from tests.integration.harness import Call, load, wait_for

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
    box.said("ended: killed by the kernel: out of memory")
    after = box.await_workers(2)
    assert "killed by the kernel: out of memory" in box.status()["services"]["api"]["last_end"]
    assert len(after & before) == 1
    wait_for(box.is_serving, "an answer")
    assert box.state()["Status"] == "running"
    assert box.stop() == 0


def test_who_kills_a_worker_by_hand_is_not_taken_for_the_kernel(run_container):
    box = run_container("app:api=2", mem_limit="256m", memswap_limit="256m")
    before = box.await_workers(2)
    box.kill_worker(min(before))
    box.said("ended: killed by KILL")
    assert "out of memory" not in box.logs()


def test_a_crash_loop_for_want_of_memory_says_so(run_container, termination_log):
    volumes = {str(termination_log): {"bind": "/dev/termination-log", "mode": "rw"}}
    memory = {"mem_limit": "256m", "memswap_limit": "256m"}
    box = run_container("--backoff-min", "0.1", "app:Hungry=1", wait=False, volumes=volumes, **memory)
    assert box.exit_code() == 137
    assert "crash loop: 5 failures in a row" in termination_log.read_text()
    assert "killed by the kernel: out of memory" in termination_log.read_text()


def test_a_worker_is_replaced_before_the_limit_of_the_container_is_reached(run_container):
    box = run_container("--max-worker-memory", "100M", "app:api=2", mem_limit="512m", memswap_limit="512m")
    before = box.await_workers(2)
    with load(box) as seen:
        greedy = box.get("/keep?megabytes=100").content["pid"]
        after = box.await_workers(2, without={greedy})
        wait_for(lambda: after <= seen.answered_by, "answers of the new worker")
    assert seen.failures == []
    assert before - after == {greedy}
    box.said("more than its limit of")
    assert "out of memory" not in box.logs()


@pytest.mark.parametrize(
    ("option", "backend"),
    [
        (("--max-requests", "40"), "eventlet"),
        (("--max-requests", "40"), "threading"),
        (("--max-worker-lifetime", "1"), "eventlet"),
    ],
    ids=["requests", "requests-threading", "lifetime"],
    indirect=["backend"],
)
def test_workers_that_have_done_enough_are_replaced_without_a_failed_request(run_container, option):
    box = run_container(*option, "--limit-jitter", "0.5", "app:api=2")
    with load(box) as seen:
        wait_for(lambda: len(seen.answered_by) >= 8 or seen.failures, "answers of many workers")
    assert seen.failures == []
    assert box.stop() == 0


@pytest.mark.parametrize(
    ("limits", "workers", "why"),
    [
        ({"nano_cpus": 1_500_000_000}, 2, "a CPU quota of 1.5"),
        ({"nano_cpus": 500_000_000}, 1, "a CPU quota of 0.5"),
        ({"mem_limit": "100m"}, 1, "a memory limit of 100 MiB, at least 64 MiB for each"),
        ({"cpuset_cpus": "0"}, 1, "affinity to 1 CPUs"),
    ],
    ids=["quota-1.5", "quota-0.5", "memory", "cpuset"],
)
def test_workers_auto_is_what_the_container_may_use(run_container, limits, workers, why):
    box = run_container("app:api=auto", **limits)
    count = min(workers, len(os.sched_getaffinity(0)))
    box.await_workers(count)
    box.said(f"api: workers = auto is {count} by ")
    assert why in box.logs()
    assert f"api: workers = auto is {count} by " in box.run("launcher", "check", "app:api=auto")


def test_an_elastic_service_grows_with_its_load_and_shrinks_again(run_container):
    box = run_container("app:api=1..2")
    first = box.await_workers(1)
    busy = Call(box, "/burn?seconds=5")
    box.said("api: 2 workers asked for, 1 were at work for")
    box.await_workers(2)
    assert busy.reply().content["pid"] in first
    box.said("api: 1 workers asked for, 2 were at work for")
    assert box.await_workers(1) == first
    assert box.stop() == 0
