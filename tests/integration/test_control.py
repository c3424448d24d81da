"""`docker exec CONTAINER launcher ...`: the supervisor is shown, scaled, reloaded and stopped from inside."""

from __future__ import annotations

import json

from tests.integration.harness import both_backends, load, wait_for

MISSPELT = "[launcher]\nwrokers = 2\n"


def test_the_status_is_that_of_the_container(run_container):
    box = run_container("app:api=2")
    workers = box.await_workers(2)
    headline, *lines = box.run("launcher", "status").splitlines()
    assert headline.startswith("launcher ")
    assert ", PID 1, up " in headline
    assert {int(line.split()[2]) for line in lines[-2:]} == workers
    status = json.loads(box.run("launcher", "status", "--json"))
    assert {worker["pid"] for worker in status["workers"]} == workers
    code, said = box.attempt("launcher", "top")
    assert (code, said) == (1, "launcher: error: top: needs a terminal; use `launcher status`\n")


@both_backends
def test_it_is_scaled_and_reloaded_while_requests_go_on(run_container):
    box = run_container("app:api=2")
    before = box.await_workers(2)
    with load(box) as seen:
        wait_for(lambda: seen.answered_by, "answers")
        assert box.run("launcher", "scale", "api", "3") == "api: 3 workers asked for\n"
        before = box.await_workers(3) | before
        assert box.run("launcher", "reload", "--wait") == "generation 2: in force and ready\n"
        after = {worker["pid"] for worker in box.status()["workers"] if worker["stage"] == "ready"}
        wait_for(lambda: seen.answered_by & after, "answers of the new workers")
    assert seen.failures == []
    assert len(after - before) == 2, "as many as the configuration says"


def test_a_refused_reload_and_an_unknown_service_are_one_line_and_exit_code_1(run_container):
    box = run_container("--config-dir", "/tmp", "app:api=2")
    workers = box.await_workers(2)
    box.run("sh", "-c", f"printf '{MISSPELT}' >/tmp/changed.conf")
    code, said = box.attempt("launcher", "reload", "--wait")
    assert (code, said.count("\n")) == (1, 1)
    assert 'did you mean "workers"' in said
    assert box.attempt("launcher", "scale", "apo", "3") == (
        1,
        'launcher: error: scale: no service apo; did you mean "api"?\n',
    )
    assert box.await_workers(2) == workers


def test_it_is_stopped(run_container):
    box = run_container("app:api=2")
    box.container.exec_run(["launcher", "stop"])  # the container may be gone before it has said so
    assert box.exit_code() == 0
    box.said("stopped")
