"""Programs that fork and supervise the workers of their services."""

from __future__ import annotations

import os
import re
import socket
import time
from functools import partial
from signal import SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from tests.functional import proc
from tests.functional.cases import both_backends, both_ways, every_way
from tests.functional.scripts import lives, starter, wait_until_gone
from tests.functional.waiting import wait_for

patched_or_not = pytest.mark.parametrize(
    ("before", "pid1", "backend"),
    [
        ("", False, "eventlet"),
        ("", True, "eventlet"),
        ("import eventlet\neventlet.monkey_patch()", False, "eventlet"),
        ("import eventlet\neventlet.monkey_patch()", True, "eventlet"),
        ("", True, "threading"),
    ],
    ids=["plain", "plain-pid1", "patched", "patched-pid1", "threading"],
    indirect=["pid1", "backend"],
)

TWO_WORKERS = """
    running = launcher.ProcessLauncher(conf)
    running.launch_service(Recorder(), workers=2)
    note("waits")
    sys.exit(running.wait())
"""


@pytest.fixture
def pid1(request):
    return getattr(request, "param", False)


@pytest.fixture
def start(tmp_path, pid1, backend):
    with starter(tmp_path) as start:
        yield partial(start, pid1=pid1, backend=backend)


def started(script, count, name="service"):
    """Wait for so many starts; return the PIDs in their order."""
    return [int(line[2]) for line in script.wait_for_notes(name, "start", count=count)]


# launch_service


@every_way
def test_workers_are_forked_and_end_by_term_or_int(start):
    script = start(TWO_WORKERS)
    pids = started(script, 2)
    script.wait_for_notes("waits")
    assert len(set(pids)) == len(script.workers()) == 2
    assert script.stop() == 0
    assert sorted(int(line[2]) for line in script.notes("service", "stop")) == sorted(pids)


def test_int_is_a_graceful_stop(start):
    script = start(TWO_WORKERS)
    started(script, 2)
    assert script.stop(SIGINT) == 0
    assert len(script.notes("service", "stop")) == 2


@both_backends
def test_ctrl_c_reaches_everybody_and_stops_gracefully(start):
    script = start(TWO_WORKERS)
    started(script, 2)
    os.killpg(script.pid, SIGINT)
    assert script.end() == 0
    assert len(script.notes("service", "stop")) == 2


@every_way
def test_a_term_before_wait_is_honoured(start):
    script = start(
        """
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Recorder(), workers=2)
        note("launched")
        until_told("go")
        sys.exit(running.wait())
        """,
    )
    script.wait_for_notes("launched")
    script.send(SIGTERM)
    script.tell("go")
    assert script.end() == 0


@both_backends
def test_a_term_right_after_the_fork_ends_a_worker(start):
    """The program's own handler must not run in a worker that has not begun."""
    script = start("""
        signal.signal(signal.SIGTERM, lambda *_: note("wrong process"))
        for _ in range(20):
            running = launcher.ProcessLauncher(conf)
            running.launch_service(Recorder(), workers=2)
            running.stop()
        note("all stopped", running.wait())
    """)
    script.wait_for_notes("all")
    assert script.end() == 0
    assert not script.notes("wrong")
    assert script.notes("all") == [["all", "stopped", "0"]]


def test_children_by_pid_and_a_wrapper_a_service(start):
    script = start("""
        running = launcher.ProcessLauncher(conf)
        service, other = Recorder(), Other()
        running.launch_service(service, workers=2)
        running.launch_service(other, 1)
        wrappers = set(running.children.values())
        for wrapper in wrappers:
            assert wrapper.service in (service, other)
            assert wrapper.children == {pid for pid, its in running.children.items() if its is wrapper}
            assert len(wrapper.forktimes) == wrapper.workers == len(wrapper.children)
            assert all(0 <= time.monotonic() - when < 60 for when in wrapper.forktimes)
        note("wrappers", len(wrappers))
        note("children", *sorted(running.children))
        code = running.wait()
        note("afterwards", len(running.children), code)
    """)
    pids = started(script, 2) + started(script, 1, "other")
    assert script.wait_for_notes("wrappers") == [["wrappers", "2"]]
    assert script.notes("children") == [["children", *map(str, sorted(pids))]]
    assert script.stop() == 0
    assert script.notes("afterwards") == [["afterwards", "0", "0"]]


def test_two_services_of_one_class_are_two(start):
    script = start("""
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Recorder(), workers=1)
        running.launch_service(Recorder(), workers=2)
        note("wrappers", len(set(running.children.values())))
        sys.exit(running.wait())
    """)
    started(script, 3)
    assert script.notes("wrappers") == [["wrappers", "2"]]
    assert script.stop() == 0


def test_what_makes_no_sense_is_refused(start):
    script = start("""
        running = launcher.ProcessLauncher(conf)
        for service, workers in (
            (Recorder(), "2"), (Recorder(), 1.5), (Recorder(), True), (Recorder(), 0), (Recorder(), -3),
            (Recorder, 1), (object(), 1),
        ):
            try:
                running.launch_service(service, workers)
            except (TypeError, ValueError) as error:
                note(workers, type(error).__name__)
        assert not running.children
        running.launch_service(Recorder(), None)
        note("children", len(running.children))
        sys.exit(running.wait())
    """)
    started(script, 1)
    kinds = [line[1] for line in script.notes() if line[-1].endswith("Error")]
    assert kinds == ["TypeError", "TypeError", "TypeError", "ValueError", "ValueError", "TypeError", "TypeError"]
    assert script.notes("children") == [["children", "1"]]
    assert script.stop() == 0


@both_backends
def test_stop_returns_when_all_workers_are_gone(start):
    script = start("""
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Recorder(), workers=2)
        until_told("go")
        running.stop()
        note("stopped", len(running.children), running.wait())
    """)
    started(script, 2)
    script.tell("go")
    assert script.end() == 0
    assert script.notes("stopped") == [["stopped", "0", "0"]]


def test_the_backdoor_has_its_place_before_start(start):
    script = start("""
        class Curious(Recorder):
            def start(self):
                note("port", self.backdoor_port)

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Curious(), workers=2)
        sys.exit(running.wait())
    """)
    assert script.wait_for_notes("port", count=2) == [["port", "None"]] * 2
    assert script.stop() == 0


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


# The death of the parent


@both_backends
def test_workers_do_not_outlive_their_parent(start):
    script = start(TWO_WORKERS)
    pids = started(script, 2)
    script.send(SIGKILL)
    wait_until_gone(pids)
    assert len(script.notes("service", "stop")) == 2


@both_backends
def test_a_worker_stuck_in_a_loop_does_not_outlive_its_parent(start):
    script = start(
        """
        class Stuck(Recorder):
            def start(self):
                super().start()
                while True:
                    pass

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Stuck(), workers=2)
        sys.exit(running.wait())
        """,
        graceful_shutdown_timeout=0.3,
        keepalive_timeout=0.1,
    )
    pids = started(script, 2)
    script.send(SIGKILL)
    wait_until_gone(pids)


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


@both_backends
def test_the_pipe_alone_tells_of_the_parents_death(start, backend):
    source = """
        import ctypes

        class Unbound(Recorder):
            def start(self):
                ctypes.CDLL(None).prctl(1, 0)  # PR_SET_PDEATHSIG
                super().start()

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Unbound(), workers=2)
        sys.exit(running.wait())
    """
    script = start(source, backend=backend)
    pids = started(script, 2)
    script.send(SIGKILL)
    wait_until_gone(pids)
    assert len(script.notes("service", "stop")) == 2
    assert "the supervisor is gone" in script.errors()


def test_a_worker_has_one_end_of_each_pipe_and_none_of_the_signal_pipe(start):
    script = start(TWO_WORKERS)
    pids = started(script, 2)
    script.wait_for_errors("is ready", 2)
    mine = proc.pipes(script.pid)
    both_ends = {pipe for pipe, _ in mine if {(pipe, "r"), (pipe, "w")} <= mine}
    assert len(both_ends) == 3, "notices, lifeline and signals"
    for pid in pids:
        held = sorted((end, pipe) for pipe, end in proc.pipes(pid) if pipe in both_ends)
        assert [end for end, _ in held] == ["r", "w"]
        assert held[0][1] != held[1][1]


@both_backends
def test_a_worker_keeps_no_socket_of_the_supervisor(start):
    script = start(TWO_WORKERS)
    pids = started(script, 2)
    wait_for((script.folder / "launcher.sock").exists, "the control socket")
    for pid in pids:
        assert not [target for target in proc.descriptors(pid).values() if target.startswith("socket:")]


# A fresh start in the child


def test_the_hub_of_the_parent_does_not_go_on_in_a_child(start):
    script = start("""
        import eventlet

        eventlet.spawn_after(0.1, note, "timer of the parent")
        eventlet.spawn(eventlet.sleep, 0.1)
        eventlet.sleep(0)  # the hub runs

        class Timed(launcher.Service):
            def start(self):
                self.tg.add_timer(0.3, note, None, "tick", os.getpid())

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Timed(), workers=2)
        sys.exit(running.wait())
    """)
    script.wait_for_notes("tick", count=4)
    assert not script.notes("timer")
    for pid in script.workers():
        polls = [target for target in proc.descriptors(pid).values() if target.endswith("[eventpoll]")]
        assert len(polls) == 1, "its own, none of the parent's two"
    assert script.stop() == 0


@both_backends
def test_random_numbers_are_seeded_anew(start):
    script = start("""
        class Drawing(Recorder):
            def start(self):
                note("drew", random.random())

        random.seed(1)
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Drawing(), workers=3)
        note("parent", random.random())
        sys.exit(running.wait())
    """)
    drawn = {line[1] for line in script.wait_for_notes("drew", count=3) + script.wait_for_notes("parent")}
    assert len(drawn) == 4
    assert script.stop() == 0


def test_numpy_is_seeded_anew_if_it_is_loaded(start, tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    (tmp_path / "numpy" / "random.py").write_text(
        "import __main__, os; seed = lambda: __main__.note('seeded', os.getpid())"
    )
    script = start("""
        import numpy.random

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Recorder(), workers=2)
        sys.exit(running.wait())
    """)
    pids = started(script, 2)
    assert sorted(int(line[1]) for line in script.wait_for_notes("seeded", count=2)) == sorted(pids)
    assert script.stop() == 0


# HUP


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
    resets = script.wait_for_notes("service", "reset", count=2)
    assert sorted(int(line[2]) for line in resets) == sorted(pids)
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
    script.wait_for_notes("service", "reset", count=2)
    os.kill(script.workers()[0], SIGKILL)
    started(script, 3)
    assert script.notes("service", "start")[-1][3] == "blue"
    assert script.stop() == 0


# What else


@both_backends
def test_usr1_reaches_the_workers_and_does_no_harm(start):
    script = start("""
        class Reopening(Recorder):
            def start(self):
                signal.signal(signal.SIGUSR1, lambda *_: note("reopened", os.getpid()))
                super().start()

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Reopening(), workers=1)
        running.launch_service(Other(), workers=1)
        sys.exit(running.wait())
    """)
    pids = started(script, 1) + started(script, 1, "other")
    script.send(SIGUSR1)
    assert script.wait_for_notes("reopened") == [["reopened", str(pids[0])]]
    assert sorted(script.workers()) == sorted(pids)
    assert script.stop() == 0


@both_backends
def test_timers_tick_in_every_worker(start):
    script = start("""
        class Ticking(launcher.Service):
            def start(self):
                self.tg.add_timer(0.01, note, None, "tick", os.getpid())

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Ticking(), workers=2)
        sys.exit(running.wait())
    """)
    wait_for(lambda: len({line[1] for line in script.notes("tick")}) == 2, "ticks of both workers")
    assert script.stop() == 0


def test_orphans_of_workers_are_reaped_by_pid_1(start):
    script = start(
        """
        class Leaving(Recorder):
            def start(self):
                if os.fork() == 0:
                    if os.fork() == 0:
                        os.setsid()
                        until_told("orphans may end")
                        os._exit(3)
                    os._exit(0)
                os.wait()
                super().start()

        running = launcher.ProcessLauncher(conf)
        running.launch_service(Leaving(), workers=2)
        sys.exit(running.wait())
        """,
        pid1=True,
    )
    started(script, 2)
    wait_for(lambda: len(proc.children(script.pid)) == 4, "two orphans to be adopted")
    script.tell("orphans may end")
    wait_for(lambda: len(proc.children(script.pid)) == 2, "the orphans to be reaped")
    assert script.stop() == 0


@both_backends
def test_a_wsgi_service_serves_on_the_socket_that_was_bound_for_it(start, tmp_path, backend):
    path = tmp_path / "http"
    script = start(
        """
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"eventlet" if "eventlet" in sys.modules else b"threading"]

        running = launcher.ProcessLauncher(conf)
        running.launch_service(launcher.WSGIService(app), workers=2)
        sys.exit(running.wait())
        """,
        listen=f"unix:{path}",
        backend=backend,
    )
    script.wait_for_errors("is ready")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.endswith(backend.encode())
    assert script.stop() == 0
    assert not path.exists()


def test_an_address_that_cannot_be_had_is_told_and_its_service_forgotten(start, tmp_path):
    script = start(
        """
        running = launcher.ProcessLauncher(conf)
        for _ in range(2):
            try:
                running.launch_service(launcher.WSGIService(print), workers=2)
            except launcher.errors.ConfigError as error:
                note("refused", error)
        note("workers", len(running.children))
        """,
        listen=f"unix:{tmp_path}/missing/http",
    )
    assert script.end() == 0
    assert ["missing/http" in " ".join(words) for words in script.notes("refused")] == [True, True]
    assert script.notes("workers") == [["workers", "0"]]


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


@both_backends
def test_the_programs_own_report_on_usr2_is_left_to_it(start):
    """A Guru Meditation Report shows where a worker hangs, so it has to come even where nothing yields."""
    script = start("""
        class Stuck(launcher.Service):
            def start(self):
                self.tg.add_thread(self.hang)

            def hang(self):
                note("hangs", os.getpid())
                while True:
                    pass

        signal.signal(signal.SIGUSR2, lambda *_: note("report", os.getpid()))
        running = launcher.ProcessLauncher(conf)
        running.launch_service(Stuck(), workers=2)
        sys.exit(running.wait())
    """)
    hung = script.wait_for_notes("hangs", count=2)
    script.send(SIGUSR2)
    assert {pid for _, pid in script.wait_for_notes("report", count=2)} == {pid for _, pid in hung}
    script.send(SIGQUIT)
    assert script.end() == 137
