"""The workers of a `ProcessLauncher` and their parent: what a fork leaves them, and that they do not outlive it."""

from __future__ import annotations

from signal import SIGKILL

from tests.functional import proc
from tests.functional.cases import both_backends
from tests.functional.scripts import TWO_WORKERS, started, wait_until_gone
from tests.functional.waiting import wait_for

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


def test_the_hub_of_the_parent_goes_on_there_and_not_in_a_child(start):
    script = start("""
        import eventlet

        eventlet.spawn_after(0.1, lambda: note("timer", os.getpid() == parent))
        parent = os.getpid()
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
    assert script.wait_for_notes("timer") == [["timer", "True"]]
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
