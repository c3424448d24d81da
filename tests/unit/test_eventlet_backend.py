"""The eventlet backend: in this process what needs no fork and no patching, the rest in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

import launcher
from launcher.worker import backends

ROOT = Path(launcher.__file__).parents[1]
PATIENCE = 10.0  # seconds

EPOLLS = """
import os

def epolls():
    links = (os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link) == "anon_inode:[eventpoll]" for link in links if os.path.islink(link))
"""


@pytest.fixture
def backend():
    return backends.select("eventlet")


def run(code, *arguments, **environ):
    return subprocess.run(
        [sys.executable, *arguments, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def output(code, *arguments, **environ):
    done = run(code, *arguments, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


# tasks and events


def test_a_task_runs_beside_its_caller(backend):
    seen = []
    task = backend.spawn(lambda *args, **kwargs: seen.append((args, kwargs)), 1, func=2)
    assert seen == []
    task.wait()
    assert seen == [((1,), {"func": 2})]


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit("broken"), KeyboardInterrupt("broken")])
def test_what_a_task_raises_is_logged_and_goes_no_further(backend, caplog, error):
    def fail():
        raise error

    backend.spawn(fail).wait()
    backend.sleep(0)
    assert f"{type(error).__name__}: broken" in caplog.text
    assert "fail failed" in caplog.text


def test_a_guarded_call_is_logged_too(backend, caplog):
    backend.guard(int, "x")
    assert "ValueError: invalid literal" in caplog.text


def test_a_kill_ends_a_task_where_it_waits(backend, caplog):
    trace = []

    def work():
        trace.append("begun")
        try:
            backend.event().wait()
        finally:
            trace.append("cleaned up")
        trace.append("finished")

    task = backend.spawn(work)
    backend.sleep(0)
    task.kill()
    task.wait()
    assert trace == ["begun", "cleaned up"]
    assert caplog.text == ""


def test_a_kill_lets_waiters_go_even_if_the_task_never_began(backend):
    seen = []
    task = backend.spawn(seen.append, 1)
    task.kill()
    task.wait()
    backend.sleep(0)
    assert seen == []


def test_a_killed_task_that_waits_for_another_ends(backend):
    never = backend.spawn(backend.event().wait)
    trace = []

    def wait():
        never.wait()
        trace.append("returned")

    waiter = backend.spawn(wait)
    backend.sleep(0)
    waiter.kill()
    waiter.wait()
    never.kill()
    assert trace == []


def test_a_task_that_kills_or_awaits_itself_goes_on(backend):
    trace, tasks = [], []

    def work():
        tasks[0].kill()
        tasks[0].wait()
        backend.sleep(0)
        trace.append("went on")

    tasks.append(backend.spawn(work))
    tasks[0].wait()
    assert trace == ["went on"]


def test_an_event(backend):
    event = backend.event()
    start = time.monotonic()
    assert not event.wait(0.05)
    assert time.monotonic() - start >= 0.05
    waiters = [backend.spawn(event.wait) for _ in range(3)]
    backend.sleep(0)
    event.set()
    event.set()
    for waiter in waiters:
        waiter.wait()
    assert event.is_set()
    assert event.wait(0)


def test_the_ident_is_what_the_task_itself_sees():
    code = """
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
import threading
seen = []
task = backend.spawn(lambda: seen.append(threading.get_ident()))
task.wait()
print(seen == [task.ident])
"""
    assert output(code) == ["True"]


def test_the_stacks_show_where_every_task_waits(backend):
    def sit_still():
        backend.event().wait()

    task = backend.spawn(sit_still)
    backend.sleep(0)
    stacks = {title: "".join(traceback.format_stack(frame)) for title, frame in backend.stacks()}
    task.kill()
    assert "in sit_still" in stacks[f"green thread {task.ident}"]
    assert any("test_the_stacks_show" in stack for title, stack in stacks.items() if title.startswith("thread"))


# the process


def test_the_import_says_nothing():
    assert output("import launcher.worker.backends.eventlet", "-W", "default", EVENTLET_TESTS="") == []
    assert output("import os; os.environ.pop('EVENTLET_TESTS', 0); import launcher.worker.backends.eventlet") == []


def test_a_descriptor_wakes_a_task_that_waits_for_nothing_else():
    code = """
import os, threading, time
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
from eventlet.patcher import original
reader, writer = os.pipe()
written = []

def write():
    original("time").sleep(0.2)
    written.append(time.monotonic())
    os.write(writer, b"x")

original("threading").Thread(target=write).start()
backend.wait_readable(reader)
print(time.monotonic() - written[0] < 5)
"""
    assert output(code) == ["True"]


def test_a_fork_shares_no_epoll():
    code = (
        EPOLLS
        + """
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
reader, writer = os.pipe()
woken = backend.event()

def wait():
    backend.wait_readable(reader)
    woken.set()

backend.spawn(wait)
backend.sleep(0)
child = os.fork()
if child == 0:
    backend.after_fork()
    print("inherited", epolls(), flush=True)
    backend.sleep(0.01)
    print("own", epolls(), flush=True)
    again, hand = os.pipe()
    os.write(hand, b"x")
    backend.wait_readable(again)
    print("child", flush=True)
    os._exit(0)
os.waitpid(child, 0)
backend.sleep(0)
os.write(writer, b"x")
print("parent", woken.wait(5))
"""
    )
    assert output(code) == ["inherited", "0", "own", "1", "child", "parent", "True"]


def test_a_forked_child_has_a_thread_pool_again():
    code = """
import os
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
from eventlet import tpool
print(tpool.execute(int, "1"), flush=True)
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and newer: fork() beside threads
child = os.fork()
if child == 0:
    backend.after_fork()
    print(tpool.execute(int, "2"), flush=True)
    tpool.killall()
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert output(code) == ["1", "2", "0"]


def test_the_asyncio_hub_is_refused():
    code = "from launcher.worker import backends; backends.select('eventlet').patch()"
    done = run(code, EVENTLET_HUB="asyncio")
    assert "ConfigError: EVENTLET_HUB = asyncio: eventlet's asyncio hub does not survive fork()" in done.stderr


@pytest.mark.parametrize(
    ("hub", "why"),
    [
        ("nope", "ModuleNotFoundError: No module named 'eventlet.hubs.nope'"),
        ("kqueue", "selected hub is not available on this system"),
        ("os:Hub", "no attribute 'Hub'"),
        ("", "Need to specify a hub"),
    ],
)
@pytest.mark.parametrize("call", ["patch", "after_fork"])
def test_a_hub_that_is_none_is_named(hub, why, call):
    code = f"from launcher.worker import backends; backends.select('eventlet').{call}()"
    last = run(code, EVENTLET_HUB=hub).stderr.splitlines()[-1]
    assert f"ConfigError: EVENTLET_HUB = {hub}: no hub that eventlet can use here (" in last
    assert why in last


def test_an_asyncio_hub_that_the_application_chose_is_refused_in_the_child():
    code = """
import os
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
from eventlet import hubs
hubs.use_hub("eventlet.hubs.asyncio")
try:
    backend.after_fork()
except Exception as error:
    print(type(error).__name__)
"""
    assert output(code) == ["ConfigError"]


def test_a_hub_that_the_application_chose_is_kept():
    code = """
from launcher.worker import backends
backend = backends.select("eventlet")
from eventlet import hubs
hubs.use_hub("poll")
backend.patch()
first = hubs.get_hub()
backend.after_fork()
print(hubs.get_hub() is first, type(hubs.get_hub()).__module__)
"""
    assert output(code) == ["False", "eventlet.hubs.poll"]


# beats


BEATS = """
import sys
from time import monotonic
from launcher.supervisor.scoreboard import Scoreboard
from launcher.worker import backends
backend = backends.select("eventlet")
backend.patch()
import eventlet, os
eventlet.hubs.use_hub(sys.argv[1])
board = Scoreboard()
seat = board.seat(0)
seat.take()
begin = monotonic()
backend.beat(seat)
backend.spawn(backend.wait_readable, os.pipe()[0])  # a worker's hub always has a descriptor to wait for


def beat():
    return board.read(0, os.getpid())
"""


def beats(hub, code):
    done = subprocess.run(
        [sys.executable, "-c", BEATS + code, hub],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("hub", ["epolls", "poll"])
def test_the_hub_says_what_it_is_at(hub):
    code = """
rfd, wfd = os.pipe()
pid = os.fork()
if pid == 0:
    while (seen := board.read(0, os.getppid())).at_work:
        pass
    os.write(wfd, str(seen.since).encode())
    os._exit(0)
asleep = float(os.read(rfd, 100))  # green: the hub waits until the child has seen it wait
print(begin <= asleep <= beat().since, beat().at_work)
"""
    assert beats(hub, code) == ["True", "True"]


@pytest.mark.parametrize("hub", ["epolls", "poll"])
def test_sleep_is_no_work_and_a_look_is_no_sleep(hub):
    code = """
backend.sleep(0.2)
slept, since = beat().busy_until(monotonic()) <= monotonic() - begin - 0.15, beat().since
backend.sleep(0)
print(slept, beat().since > since, beat().at_work)
"""
    assert beats(hub, code) == ["True", "True", "True"]


def test_it_is_at_work_until_it_waits_for_the_first_time():
    assert beats("epolls", "print(beat().at_work, begin <= beat().since <= monotonic())") == ["True", "True"]


def test_of_a_hub_that_cannot_say_what_it_is_at_nothing_is_said():
    assert beats("selects", "backend.sleep(0.01); print(beat().at_work, beat().since)") == ["False", "0.0"]
