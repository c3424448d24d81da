"""Workers of a `ProcessLauncher` that die, fail or hang: what comes of it, and how soon."""

from __future__ import annotations

import os
import re
import time
from signal import SIGKILL

from tests.functional.cases import both_backends, both_ways, every_way, patched_or_not
from tests.functional.scripts import TWO_WORKERS, lives, started

# Death of workers


@patched_or_not
def test_a_dead_worker_is_replaced(start, before):
    script = start(TWO_WORKERS, before=before)
    started(script, 2)
    victim, other = script.workers()
    os.kill(victim, SIGKILL)
    started(script, 3)
    assert victim not in script.workers()
    assert other in script.workers()
    script.wait_for_errors("killed by KILL")
    assert script.stop() == 0


@every_way
def test_workers_that_fail_at_once_end_the_program_with_their_code(start):
    script = start(
        """
        class Broken(Recorder):
            def start(self):
                super().start()
                sys.exit(7)

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Broken(), workers=2)
        sys.exit(running.wait())
        """,
        crash_loop_threshold=3,
        backoff_min=0.01,
    )
    assert script.end() == 7
    assert re.search(r"crash loop: \d failures in a row, the last: Broken: worker \d+ ended with 7", script.errors())


@both_backends
def test_what_start_raises_is_seen(start):
    script = start(
        """
        class Broken(Recorder):
            def start(self):
                raise LookupError("no such region")

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Broken(), workers=1)
        sys.exit(running.wait())
        """,
        crash_loop_threshold=1,
    )
    assert script.end() == 1
    assert "LookupError: no such region" in script.errors()


@every_way
def test_a_worker_that_is_deaf_to_term_is_killed_and_the_code_says_so(start):
    script = start(
        """
        class Deaf(Recorder):
            def start(self):
                super().start()
                self.spin_for_ever()

            def spin_for_ever(self):
                note("spins")
                while True:
                    pass

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Deaf(), workers=1)
        sys.exit(running.wait())
        """,
        graceful_shutdown_timeout=0.3,
        keepalive_timeout=0.1,
    )
    script.wait_for_notes("spins")
    assert script.stop() == 137
    assert "in spin_for_ever" in script.errors()


# The fork throttle


CRASH_ON_REQUEST = """
    running = launcher.ProcessLauncher(conf)
    running.launch_service(Recorder(), workers=8)
    running.launch_service(Other(), workers=1)
    (wrapper,) = {w for w in running.children.values() if w.service.name == "service"}
    code = running.wait()
    note("forks", *wrapper.forktimes)
    sys.exit(code)
"""


def workers_of(script, name):
    return [int(line[2]) for line in script.notes(name, "start") if lives(int(line[2]))]


def exhaust(script):
    """Use up the forks that need no delay: eight at the start, and one more."""
    started(script, 8)
    started(script, 1, "other")
    os.kill(workers_of(script, "service")[0], SIGKILL)
    started(script, 9)


def test_too_many_forks_delay_the_next_one(start):
    script = start(CRASH_ON_REQUEST, backoff_min=0.01, crash_loop_threshold=100)
    exhaust(script)
    killed = time.monotonic()
    os.kill(workers_of(script, "service")[0], SIGKILL)
    started(script, 10)
    assert script.stop() == 0
    ((_, *times),) = script.notes("forks")
    assert len(times) == 9, "one more than it has workers"
    assert float(times[-1]) - killed >= 1


def test_another_services_worker_is_replaced_during_the_delay(start):
    script = start(CRASH_ON_REQUEST, backoff_min=0.01, crash_loop_threshold=100)
    exhaust(script)
    victims = [workers_of(script, "service")[0], workers_of(script, "other")[0]]
    for victim in victims:
        os.kill(victim, SIGKILL)
    started(script, 2, "other")
    assert len(script.notes("service", "start")) == 9
    started(script, 10)
    assert script.stop() == 0


def test_a_term_during_the_delay_is_honoured_at_once(start):
    script = start(CRASH_ON_REQUEST, backoff_min=0.01, crash_loop_threshold=100)
    exhaust(script)
    os.kill(workers_of(script, "service")[0], SIGKILL)
    script.wait_for_errors("killed by KILL", 2)
    assert script.stop() == 0
    assert len(script.notes("service", "start")) == 9


@both_ways
def test_a_worker_that_hangs_is_replaced_and_says_where(start):
    script = start(
        """
        class Stuck(Recorder):
            def start(self):
                super().start()
                eventlet.spawn(self.hang)

            def hang(self):
                while (HERE / "hang").exists():  # the first of them
                    (HERE / "hang").rename(HERE / "hung")
                    while True:
                        pass

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Stuck(), workers=2)
        sys.exit(running.wait())
        """,
        before="import eventlet, pathlib\npathlib.Path('hang').touch()",
        liveness_timeout=0.5,
    )
    started(script, 3)
    script.wait_for_errors(" gets ABRT: hangs: busy for ")
    script.wait_for_errors(" in hang\n")
    assert script.stop() == 0


def test_a_service_that_closes_what_it_did_not_open_is_told_so(start):
    script = start(
        """
        class Daemonic(Recorder):
            def start(self):
                os.closerange(3, 256)

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Daemonic(), workers=1)
        sys.exit(running.wait())
        """,
        crash_loop_threshold=1,
    )
    assert script.end() == 70
    assert "a service must leave alone what it did not open" in script.errors()
