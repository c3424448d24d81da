"""Programs that fork and supervise the workers of their services."""

from __future__ import annotations

import os
import socket
from signal import SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

from tests.functional import proc
from tests.functional.cases import both_backends, every_way
from tests.functional.scripts import TWO_WORKERS, started
from tests.functional.waiting import wait_for

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
