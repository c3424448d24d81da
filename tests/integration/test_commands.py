"""Any command as a service: in a container, without an application."""

from __future__ import annotations

from tests.integration.harness import load, wait_for


def test_a_command_serves_is_replaced_and_reloaded_without_a_failed_request(run_container):
    box = run_container("--command", "web=2:python3 /app/plain.py", "--listen", "web=:8080", "--ready", "web=notify")
    before = box.await_workers(2)
    assert {worker["says"] for worker in box.status()["workers"]} == {"serving"}
    assert box.status()["molds"] == []
    with load(box) as seen:
        wait_for(lambda: seen.answered_by == before, "answers of both workers")
        box.signal("HUP")
        after = box.await_workers(2, without=before)
        wait_for(lambda: seen.answered_by & after, "answers of the new workers")
    assert seen.failures == []
    victim = min(after)
    box.kill_worker(victim)
    box.await_workers(2, without={victim})
    assert box.stop() == 0
    log = box.logs().splitlines()
    assert "web[0] | serving" in log
    assert "web[1] | done" in log  # the last line has no end


def test_when_all_is_done_the_container_ends_with_an_honest_code(run_container):
    good, bad = ("--command", "good:sh -c 'echo done'"), ("--command", "bad:sh -c 'exit 9'")
    box = run_container(*good, "--restart", "never", wait=False)
    assert box.exit_code() == 0
    box = run_container(*good, *bad, "--restart", "on-failure", wait=False)
    assert box.exit_code() == 9
    box.said("crash loop")
