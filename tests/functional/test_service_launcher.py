"""Programs that run their services in their own process."""

from __future__ import annotations

from signal import SIGINT, SIGTERM

import pytest

from tests.functional.cases import both_backends, every_way
from tests.functional.scripts import RECORDER

WORKING = """
    from launcher.worker import backends

    class Working(launcher.Service):
        def start(self):
            self.tg.add_thread(self.work)

        def work(self):
            note("begun")
            while not (HERE / "finish").exists():
                backends.current().sleep(0.005)
            note("finished")

        def stop(self, graceful=True):
            note("stop")
            super().stop(graceful)

    running = launcher.launch(conf, Working())
    code = running.wait()
    note("returned", code)
    sys.exit(code)
"""


@every_way
@pytest.mark.parametrize("signum", [SIGTERM, SIGINT])
def test_a_signal_lets_work_in_flight_finish(start, signum):
    script = start(WORKING)
    script.wait_for_notes("begun")
    script.send(signum)
    script.wait_for_notes("stop")
    assert not script.notes("finished")
    script.tell("finish")
    assert script.end() == 0
    assert script.notes() == [["begun"], ["stop"], ["finished"], ["returned", "0"]]


@both_backends
def test_a_second_term_changes_nothing(start):
    script = start(WORKING)
    script.wait_for_notes("begun")
    script.send(SIGTERM)
    script.wait_for_notes("stop")
    script.send(SIGTERM)
    script.tell("finish")
    assert script.end() == 0
    assert len(script.notes("stop")) == 1


@both_backends
def test_a_second_int_ends_it_at_once(start):
    script = start(WORKING)
    script.wait_for_notes("begun")
    script.send(SIGINT)
    script.wait_for_notes("stop")
    assert script.stop(SIGINT) == 128 + SIGINT


@every_way
def test_an_idle_service_hears_term(start):
    """It has no socket and no timer that would wake the hub: oslo.service sleeps on for a minute."""
    script = start(RECORDER)
    script.wait_for_notes("waits")
    assert script.stop() == 0
    assert [line[1] for line in script.notes("service")] == ["start", "wait", "stop", "wait"]


@both_backends
def test_a_service_with_a_timer_ends(start):
    script = start("""
        class Ticking(launcher.Service):
            def start(self):
                self.tg.add_timer(0.01, note, None, "tick")

        sys.exit(launcher.launch(conf, Ticking()).wait())
    """)
    script.wait_for_notes("tick", count=3)
    assert script.stop() == 0


@every_way
def test_a_term_between_launch_and_wait_is_honoured(start):
    script = start(
        """
        running = launcher.launch(conf, Recorder())
        note("launched")
        until_told("go")
        sys.exit(running.wait())
        """,
    )
    script.wait_for_notes("launched")
    script.send(SIGTERM)
    script.tell("go")
    assert script.end() == 0
    assert len(script.notes("service", "stop")) == 1


@every_way
def test_a_term_while_a_service_starts_is_honoured(start):
    script = start(
        """
        class Slow(Recorder):
            def start(self):
                note("starting")
                until_told("go")

        sys.exit(launcher.launch(conf, Slow()).wait())
        """,
    )
    script.wait_for_notes("starting")
    script.send(SIGTERM)
    script.tell("go")
    assert script.end() == 0
    assert len(script.notes("service", "stop")) == 1


@both_backends
def test_what_start_raises_reaches_the_caller(start):
    script = start("""
        class Broken(Recorder):
            def start(self):
                raise LookupError("no such region")

        try:
            launcher.launch(conf, Broken())
        except LookupError as error:
            note("caught", error)
            sys.exit(5)
    """)
    assert script.end() == 5
    assert script.notes() == [["caught", "no", "such", "region"]]


def test_one_worker_is_this_process_and_more_are_forked(start):
    script = start("""
        for workers in (None, 1):
            note(type(launcher.launch(conf, Recorder(), workers=workers)).__name__)
        several = launcher.launch(conf, Recorder(), workers=2)
        note(type(several).__name__)
        several.stop()
    """)
    assert script.end() == 0
    names = [line[0] for line in script.notes() if line[0] != "service"]
    assert names == ["ServiceLauncher", "ServiceLauncher", "ProcessLauncher"]


def test_numbers_of_workers_that_make_no_sense_are_refused(start):
    script = start("""
        for workers in ("2", 2.0, True, 0, -1):
            try:
                launcher.launch(conf, Recorder(), workers=workers)
            except (TypeError, ValueError) as error:
                note(workers, type(error).__name__)
    """)
    assert script.end() == 0
    assert script.notes() == [
        ["2", "TypeError"],
        ["2.0", "TypeError"],
        ["True", "TypeError"],
        ["0", "ValueError"],
        ["-1", "ValueError"],
    ]


def test_an_unknown_restart_method_is_refused(start):
    script = start("""
        for name in ("ServiceLauncher", "ProcessLauncher"):
            try:
                getattr(launcher, name)(conf, restart_method="respawn")
            except ValueError as error:
                note(name, error)
    """)
    assert script.end() == 0
    assert [line[0] for line in script.notes()] == ["ServiceLauncher", "ProcessLauncher"]


def test_the_backdoor_has_its_place_before_start(start):
    script = start("""
        class Curious(Recorder):
            def start(self):
                note("port", self.backdoor_port)

        running = launcher.launch(conf, Curious())
        running.stop()
        running.wait()
    """)
    assert script.end() == 0
    assert script.notes("port") == [["port", "None"]]


def test_a_service_may_stop_its_launcher(start):
    script = start("""
        import eventlet

        running = launcher.launch(conf, Recorder())
        eventlet.spawn_after(0.01, running.stop)
        sys.exit(running.wait())
    """)
    assert script.end() == 0
    assert len(script.notes("service", "stop")) == 1


@both_backends
def test_several_services_are_stopped_together(start):
    script = start("""
        running = launcher.ServiceLauncher(conf)
        running.launch_service(Recorder())
        running.launch_service(Other())
        note("waits")
        sys.exit(running.wait())
    """)
    script.wait_for_notes("waits")
    assert script.stop() == 0
    assert len(script.notes("service", "stop")) == len(script.notes("other", "stop")) == 1


# A stop that takes too long


@every_way
@pytest.mark.parametrize("way", ["backends.current().sleep(0.01)", "pass"], ids=["waits", "spins"])
def test_a_stop_that_takes_too_long_ends_with_1_and_the_stacks(start, way):
    script = start(
        f"""
        from launcher.worker import backends

        class Stuck(Recorder):
            def stop(self):
                note("stopping")
                self.grind()

            def grind(self):
                while True:
                    {way}

        running = launcher.launch(conf, Stuck())
        note("waits")
        sys.exit(running.wait())
        """,
        graceful_shutdown_timeout=0.3,
        keepalive_timeout=0.1,
    )
    script.wait_for_notes("waits")
    assert script.stop() == 1
    assert script.notes("stopping")
    assert "most recent call first" in script.errors()


@both_backends
def test_a_stop_in_time_leaves_no_timer_behind(start):
    script = start(
        """
        running = launcher.launch(conf, Recorder())
        note("waits")
        code = running.wait()
        time.sleep(0.5)
        note("still here")
        sys.exit(code)
        """,
        graceful_shutdown_timeout=0.2,
        keepalive_timeout=0.1,
    )
    script.wait_for_notes("waits")
    assert script.stop() == 0
    assert script.notes("still", "here")


@both_backends
def test_no_timeout_means_no_end(start):
    script = start(WORKING, graceful_shutdown_timeout=0)
    script.wait_for_notes("begun")
    script.send(SIGTERM)
    script.wait_for_notes("stop")
    script.tell("finish")
    assert script.end() == 0
