"""HUP to a program that forks its workers: they are replaced, or stay and are told."""

from __future__ import annotations

import os
from signal import SIGHUP, SIGKILL

from tests.certificates import Authority, shown
from tests.functional import load, proc
from tests.functional.cases import both_backends, every_way, patched_or_not
from tests.functional.program import reserved_port
from tests.functional.scripts import TWO_WORKERS, started
from tests.functional.waiting import wait_for


@patched_or_not
def test_hup_replaces_the_workers_one_by_one_with_the_new_configuration(start, before):
    script = start(TWO_WORKERS, before=before)
    first = started(script, 2)
    script.wait_for_errors("is ready", 2)
    script.configure(colour="blue")
    script.send(SIGHUP)
    second = started(script, 4)[2:]
    script.wait_for_notes("service", "stop", count=2)
    assert script.stop() == 0
    events = [line[1:] for line in script.notes("service") if line[1] != "wait"]
    assert events[2][0] == "reset"
    assert events[2][2] == "blue", "the configuration was reloaded first"
    starts, stops = (
        [at for at, event in enumerate(events) if at > 2 and event[0] == word] for word in ("start", "stop")
    )
    assert all(start < stop for start, stop in zip(starts[:2], stops[:2], strict=True)), "a replacement is ready first"
    assert int(events[2][1]) not in first + second, "the parent's service was reset"
    assert {event[2] for event in events[3:] if event[0] == "start"} == {"blue"}
    assert not set(first) & set(second)


def test_a_reload_cannot_move_a_process_to_another_backend(start):
    script = start(TWO_WORKERS)
    started(script, 2)
    script.wait_for_errors("is ready", 2)
    workers = script.workers()
    script.configure(backend="threading")
    script.send(SIGHUP)
    script.wait_for_errors("reload refused: backend = threading: this process already runs on the eventlet backend")
    assert script.workers() == workers
    assert script.stop() == 0


@both_backends
def test_a_hup_that_cannot_be_followed_changes_nothing(start):
    script = start("""
        class Choosy(Recorder):
            def reset(self):
                note("reset")
                raise LookupError("no such region")

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Choosy(), workers=2)
        sys.exit(running.wait())
    """)
    started(script, 2)
    script.wait_for_errors("is ready", 2)
    workers = script.workers()
    script.send(SIGHUP)
    script.wait_for_errors("reload refused")
    assert script.workers() == workers
    assert script.stop() == 0
    assert len(script.notes("service", "start")) == 2


@both_backends
def test_new_workers_that_fail_leave_the_old_ones_serving(start):
    script = start("""
        class Choosy(Recorder):
            def start(self):
                super().start()
                assert conf.colour == "red"

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Choosy(), workers=2)
        sys.exit(running.wait())
    """)
    script.wait_for_errors("is ready", 2)
    workers = script.workers()
    script.configure(colour="blue")
    script.send(SIGHUP)
    script.wait_for_errors("reload failed")
    assert script.workers() == workers
    assert script.stop() == 0


MUTATING = """
    running = launcher.ProcessLauncher(conf, restart_method="mutate")
    running.launch_service(Recorder(), workers=2)
    sys.exit(running.wait())
"""


@every_way
def test_hup_can_mutate_instead(start):
    script = start(MUTATING)
    pids = started(script, 2)
    script.wait_for_errors("is ready", 2)
    workers = script.workers()
    script.configure(colour="blue")
    script.send(SIGHUP)
    resets = script.wait_for_notes("service", "reset", count=3)
    assert sorted(int(line[2]) for line in resets) == sorted([*pids, proc.inner(script.pid)])  # as in oslo.service
    assert {line[3] for line in resets} == {"blue"}
    assert script.workers() == workers
    assert script.stop() == 0
    assert len(script.notes("service", "start")) == 2


@both_backends
def test_a_worker_that_comes_after_a_mutation_has_the_new_values_too(start):
    script = start(MUTATING)
    started(script, 2)
    script.configure(colour="blue")
    script.send(SIGHUP)
    script.wait_for_notes("service", "reset", count=3)
    os.kill(script.workers()[0], SIGKILL)
    started(script, 3)
    assert script.notes("service", "start")[-1][3] == "blue"
    assert script.stop() == 0


def test_after_a_refused_reload_a_dead_worker_is_still_replaced(start):
    script = start(TWO_WORKERS)
    started(script, 2)
    script.wait_for_errors("is ready", 2)
    script.configure(graceful_shutdown_timeout="abc")
    script.send(SIGHUP)
    script.wait_for_errors("reload refused")
    os.kill(script.workers()[0], SIGKILL)
    script.wait_for_errors("is ready", 3)
    assert script.stop() == 0


def test_a_reset_that_exits_refuses_the_reload_and_ends_nobody(start):
    script = start("""
        class Exits(Recorder):
            def reset(self):
                sys.exit(5)

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Exits(), workers=2)
        sys.exit(running.wait())
    """)
    started(script, 2)
    script.wait_for_errors("is ready", 2)
    workers = script.workers()
    script.send(SIGHUP)
    script.wait_for_errors("reload refused: SystemExit: 5")
    assert script.workers() == workers
    assert script.stop() == 0


@both_backends
def test_a_reload_takes_a_new_certificate_or_refuses_a_broken_one(start, tmp_path):
    authority = Authority(tmp_path)
    pair, other = authority.issue("first"), authority.issue("second")
    with reserved_port() as port:
        script = start(
            """
            def app(environ, start_response):
                start_response("200 OK", [])
                return [environ["wsgi.url_scheme"].encode()]

            running = launcher.ProcessLauncher(conf)
            running.launch_service(launcher.WSGIService(app), workers=1)
            sys.exit(running.wait())
            """,
            listen=f"127.0.0.1:{port}",
            **pair.options,
        )
        script.wait_for_errors("is ready")
        assert load.get(port, tls=authority.client()) == (200, "https")
        workers = script.workers()
        pair.key.write_bytes(other.key.read_bytes())
        script.send(SIGHUP)
        script.wait_for_errors("reload refused: tls_key_file = ")
        assert script.workers() == workers
        assert shown(port, authority.client()) == "first"
        pair.replace_by(other)
        script.send(SIGHUP)
        wait_for(lambda: shown(port, authority.client()) == "second", "the new certificate")
        assert script.stop() == 0
