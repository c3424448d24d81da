"""Where PID 1 is somebody else: docker-init, or another container's program."""

from __future__ import annotations

import pytest


@pytest.fixture
def below_docker_init(run_container):
    return run_container("app:api=2", init=True)


@pytest.fixture
def in_a_shared_namespace(run_container):
    host = run_container(entrypoint=["sleep", "1000"], command=[], wait=False)
    return run_container("app:api=2", pid_mode=f"container:{host.container.id}")


@pytest.fixture(params=["below_docker_init", "in_a_shared_namespace"])
def box(request):
    return request.getfixturevalue(request.param)


def test_it_supervises_as_a_subreaper(box):
    workers = box.await_workers(2)
    launcher = box.status()["pid"]
    processes = box.processes()
    assert launcher != 1
    assert "launcher" not in " ".join(processes[1].command[:1])
    assert {processes[pid].parent for pid in workers} == {launcher}
    box.get("/orphans?count=100")
    living = box.await_no_zombies()
    assert {process.parent for process in living.values() if process.command == ["sleep", "1"]} <= {launcher}
    box.kill_worker(min(workers))
    box.await_workers(2, without={min(workers)})


def test_a_stop_ends_with_0_even_beside_an_orphan_that_ignores_term(box):
    box.get("/daemon")
    assert box.stop() == 0


def test_a_stop_leaves_the_other_container_alone(run_container):
    host = run_container("app:Ticker=1")
    before = host.await_workers(1)
    guest = run_container("app:api=2", pid_mode=f"container:{host.container.id}")
    guest.get("/daemon")
    assert guest.stop() == 0
    assert host.await_workers(1) == before
    assert host.stop() == 0
