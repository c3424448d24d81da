"""The example services in one container, repaired and reloaded under load: the same on both backends."""

from __future__ import annotations

from pathlib import Path

from tests.integration.harness import Call, both_backends, load, wait_for

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "shop.py"
SLOW = 8


@both_backends
def test_it_serves_is_repaired_and_reloaded_and_stops_without_a_loss(run_container, backend):
    volumes = {str(SHOP): {"bind": "/app/shop.py", "mode": "ro"}}
    box = run_container("shop:api=4", "shop:Scheduler=1", volumes=volumes)
    before = box.await_workers(5)
    services = {worker["pid"]: worker["service"] for worker in box.status()["workers"]}
    assert sorted(services.values()) == ["Scheduler", "api", "api", "api", "api"]
    for pid in before:
        assert ("greenlet" in box.run("cat", f"/proc/{pid}/maps")) is (backend == "eventlet")
    killed = {min(pid for pid in services if services[pid] == name) for name in ("api", "Scheduler")}
    for pid in killed:
        box.kill_worker(pid)
    before = box.await_workers(5, without=killed)
    box.said("tick 2 in process")
    with load(box) as seen:
        wait_for(lambda: seen.answered_by, "answers")
        box.signal("HUP")
        after = box.await_workers(5, without=before)
        wait_for(lambda: seen.answered_by & after, "answers of the new workers")
    assert seen.failures == []
    calls = [Call(box, "/slow?seconds=2") for _ in range(SLOW)]
    wait_for(lambda: in_flight(box) == SLOW, "all of them in flight")
    assert box.stop() == 0
    replies = [call.reply() for call in calls]
    assert {(reply.status, reply.says_close, reply.content["slept"]) for reply in replies} == {(200, True, 2.0)}


def in_flight(box) -> int:
    return sum(worker["beat"]["in_flight"] for worker in box.status()["workers"])
