"""Who is whose child, and what PID 1 is made of."""

from __future__ import annotations

import time

import pytest

from tests.integration.harness import both_backends, wait_for

IDLE = 10.0  # seconds for which PID 1 must not wake up


@pytest.mark.parametrize("count", [1, 2, 8])
def test_so_many_workers_as_asked_for_are_children_of_pid_1(run_container, count):
    box = run_container(f"app:api={count}")
    workers = box.await_workers(count)
    processes = box.processes()
    assert {processes[pid].parent for pid in workers} == {1}
    below = {process.pid for process in processes.values() if process.parent == 1}
    assert below == {*workers, *box.status()["molds"]}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_host_sees_the_same_tree(run_container, count):
    box = run_container(f"app:api={count}")
    box.await_workers(count)
    first = box.state()["Pid"]
    top = box.container.top()
    parent = top["Titles"].index("PPID")
    # The workers and the mold.
    wait_for(
        lambda: sum(int(row[parent]) == first for row in box.container.top()["Processes"]) == count + 1,
        f"{count + 1} children of PID 1",
    )


def test_pid_1_is_the_launcher_alone_and_without_the_application(run_container):
    box = run_container("app:api=2")
    workers = box.await_workers(2)
    first = box.processes()[1]
    program = first.command.index("/opt/venv/bin/launcher")  # after the interpreter and its options
    assert first.command[program + 1] == "run"
    assert first.fields["Threads"] == "1"
    assert "greenlet" not in box.look("maps", "1")
    # That it can be seen where it is.
    assert "greenlet" in box.look("maps", str(min(workers)))


def test_pid_1_sleeps_while_nothing_happens(run_container):
    box = run_container("app:api=2", wait=False, healthcheck={"test": ["NONE"]})
    box.said("is ready", times=2)
    wait_for(box.is_serving, "an answer")
    before = box.processes()[1].fields
    time.sleep(IDLE)
    after = box.processes()[1].fields
    assert after["voluntary_ctxt_switches"] == before["voluntary_ctxt_switches"]
    # And that it is not stuck.
    box.signal("TTIN")
    box.await_workers(3)
    assert box.processes()[1].fields["voluntary_ctxt_switches"] > before["voluntary_ctxt_switches"]


@both_backends
def test_two_services_run_side_by_side(run_container):
    box = run_container("app:api=2", "app:Ticker=1")
    box.await_workers(3)
    services = {worker["pid"]: worker["service"] for worker in box.status()["workers"]}
    assert sorted(services.values()) == ["Ticker", "api", "api"]
    assert services[box.get().content["pid"]] == "api"
    ticker = next(pid for pid, service in services.items() if service == "Ticker")
    box.said(f"tick in process {ticker}", times=2)
    assert box.stop() == 0
