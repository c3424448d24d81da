"""HUP to a program that runs its services in its own process."""

from __future__ import annotations

from signal import SIGHUP, SIGTERM

from tests.functional.cases import both_backends, every_way
from tests.functional.scripts import RECORDER


@every_way
def test_hup_restarts_the_services_in_place_with_the_new_configuration(start):
    script = start(RECORDER)
    ((_, _, pid, colour),) = script.wait_for_notes("service", "start")
    assert colour == "red"
    script.wait_for_notes("waits")
    script.configure(colour="blue")
    script.send(SIGHUP)
    script.wait_for_notes("service", "start", pid, "blue")
    assert script.stop() == 0
    names = [line[1] for line in script.notes("service") if line[1] != "wait"]
    assert names == ["start", "stop", "reset", "start", "stop"]
    assert {line[2] for line in script.notes("service")} == {pid}


@both_backends
def test_hup_can_mutate_instead(start):
    script = start("""
        running = launcher.launch(conf, Recorder(), restart_method="mutate")
        note("waits")
        sys.exit(running.wait())
    """)
    ((_, _, pid, _),) = script.wait_for_notes("service", "start")
    script.wait_for_notes("waits")
    script.configure(colour="blue")
    script.send(SIGHUP)
    script.wait_for_notes("service", "reset", pid, "blue")
    assert script.stop() == 0
    assert [line[1] for line in script.notes("service") if line[1] != "wait"] == ["start", "reset", "stop"]


def test_a_configuration_that_cannot_be_read_changes_nothing(start):
    script = start(RECORDER)
    script.wait_for_notes("waits")
    (script.folder / "script.conf").write_text("colour\n  = [[[")
    script.send(SIGHUP)
    script.wait_for_notes("service", "start", count=2)
    assert {line[3] for line in script.notes("service", "start")} == {"red"}
    assert script.stop() == 0


SLOW_TO_STOP = """
    from launcher.worker import backends

    class SlowToStop(Recorder):
        def wait(self):
            while not (HERE / "finish").exists():
                note("waiting")
                backends.current().sleep(0.005)

    running = launcher.launch(conf, SlowToStop())
    sys.exit(running.wait())
"""


def let_it_turn(script):
    """Wait until it has obeyed the signals it was sent: it has waited again, more than once."""
    script.wait_for_notes("waiting", count=len(script.notes("waiting")) + 3)


@both_backends
def test_a_hup_during_a_reload_starts_no_service_twice(start):
    script = start(SLOW_TO_STOP)
    script.wait_for_notes("service", "start")
    script.send(SIGHUP)
    script.wait_for_notes("service", "stop")
    script.configure(colour="blue")
    script.send(SIGHUP)
    let_it_turn(script)
    script.tell("finish")
    script.wait_for_notes("service", "start", count=3)
    assert script.stop() == 0
    assert [line[1] for line in script.notes("service") if line[1] != "reset"] == ["start", "stop"] * 3


@both_backends
def test_a_term_during_a_reload_starts_nothing_any_more(start):
    script = start(SLOW_TO_STOP)
    script.wait_for_notes("service", "start")
    script.send(SIGHUP)
    script.wait_for_notes("service", "stop")
    script.send(SIGTERM)
    script.wait_for_notes("service", "stop", count=2)
    script.tell("finish")
    assert script.end() == 0
    assert len(script.notes("service", "start")) == 1


@both_backends
def test_a_service_that_cannot_be_started_again_ends_it(start):
    script = start("""
        class Once(Recorder):
            def start(self):
                if (HERE / "notes").exists():
                    raise LookupError("no such region")
                super().start()

        sys.exit(launcher.launch(conf, Once()).wait())
    """)
    script.wait_for_notes("service", "start")
    script.send(SIGHUP)
    assert script.end() == 1
    assert "no such region" in script.errors()


def test_an_impossible_timeout_in_a_reload_does_not_prevent_the_stop(start):
    script = start(RECORDER)
    script.wait_for_notes("waits")
    script.configure(graceful_shutdown_timeout="soon")
    script.send(SIGHUP)
    script.wait_for_notes("service", "start", count=2)
    assert script.stop() == 0
