"""`docker stop`: nothing is lost, and the end comes in bounded time."""

from __future__ import annotations

import pytest

from tests.integration.harness import Call, Client, both_backends, wait_for

QUEUED = 10
GRACE = 1


@both_backends
def test_slow_requests_in_flight_are_answered(run_container):
    box = run_container("app:api=2")
    calls = [Call(box, "/sleep?seconds=3") for _ in range(6)]
    box.said("request sleeps", times=6)
    assert box.stop() == 0
    replies = [call.reply() for call in calls]
    assert [reply.status for reply in replies] == [200] * 6
    assert all(reply.says_close for reply in replies)


@both_backends
def test_connections_in_the_queue_are_answered(run_container, backend):
    box = run_container("app:api=1")
    (worker,) = box.await_workers(1)
    blocking = Call(box, "/block?seconds=4")
    box.said("request blocks")
    if backend == "threading":  # it would accept beside the request; the supervisor lets it go on
        box.run("sh", "-c", f"kill -STOP {worker}")
    calls = [Call(box, "/") for _ in range(QUEUED)]
    wait_for(lambda: box.look("queue", "8080") == QUEUED, "connections that nobody has accepted")
    assert box.stop() == 0
    assert [call.reply().status for call in (blocking, *calls)] == [200] * (1 + QUEUED)


@both_backends
def test_keep_alive_clients_are_told_to_close(run_container):
    box = run_container("app:api=1")
    client = Client(box.port)
    assert not client.get().says_close
    assert not client.get().says_close
    slow = Call(box, "/sleep?seconds=3")  # keeps the worker until the client has heard of it
    box.said("request sleeps")
    box.signal("TERM")
    box.said("gets TERM")
    wait_for(lambda: client.get().says_close, "Connection: close")
    client.close()
    assert slow.reply().status == 200
    assert box.exit_code() == 0


@both_backends
def test_an_idle_keep_alive_connection_gets_one_more_answer(run_container):
    box = run_container("app:api=1")
    client = Client(box.port)
    client.get()
    box.signal("TERM")
    wait_for(lambda: box.look("queue", "8080") == -1, "a closed listening socket")
    reply = client.get()
    assert (reply.status, reply.says_close) == (200, True)
    client.close()
    assert box.exit_code() == 0


@both_backends
def test_during_the_drain_delay_it_is_not_ready_and_serves(run_container):
    box = run_container("--drain-delay", "4", "app:api=1")
    box.signal("TERM")
    wait_for(lambda: box.attempt("launcher", "healthcheck", "--ready")[0] == 1, "an answer that it is not ready")
    assert box.attempt("launcher", "healthcheck", "--live")[0] == 0
    assert box.get().status == 200
    assert box.exit_code() == 0


@both_backends
def test_a_worker_that_ignores_term_is_killed_after_the_grace(run_container):
    box = run_container("--graceful-shutdown-timeout", str(GRACE), "app:Stubborn=1")
    (worker,) = box.await_workers(1)
    # Far longer than the grace: Docker's own KILL would end the container with 137 too, but without our last words.
    assert box.stop(patience=100) == 137
    assert f"launcher: error: Stubborn: worker {worker} did not end in time and was killed" in box.logs()
    # Where it was stuck.
    assert "Fatal Python error: Aborted" in box.logs()


@pytest.mark.parametrize(("signals", "code"), [(["INT"], 0), (["QUIT"], 137), (["INT", "INT"], 137)])
def test_int_is_graceful_and_quit_and_a_second_int_are_not(run_container, signals, code):
    box = run_container("app:api=1")
    call = Call(box, "/sleep?seconds=4")
    box.said("request sleeps")
    for signal in signals:
        box.signal(signal)
        box.said("gets TERM")
    assert box.exit_code() == code
    assert call.was_answered() == (code == 0)


def test_term_while_the_application_is_imported_ends_it(run_container):
    box = run_container("app:api=2", wait=False, environment={"IMPORT_SECONDS": "1000"})
    box.said("import begins")
    assert box.stop(patience=100) == 0
    assert "is ready" not in box.logs()
