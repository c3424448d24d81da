"""A service in a test, on both backends, in processes of their own: a backend is for good."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import launcher
from launcher.worker import backends

ROOT = Path(launcher.__file__).parents[1]
PATCHED = """
import warnings
warnings.filterwarnings("ignore", r"\\s*Eventlet is deprecated")
import eventlet
eventlet.monkey_patch()
"""
WAYS = {name: (name, "") for name in backends.KINDS} | {"patched": ("eventlet", PATCHED)}
PRELUDE = """
import threading, time
from urllib.error import URLError
from urllib.request import urlopen
import launcher
from launcher import Service, WSGIService
from launcher.testing import Running

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode()]

def get(url):
    with urlopen(url, timeout=30) as answer:
        return answer.read().decode()
"""


@pytest.fixture(params=WAYS)
def run(request):
    """Run code in each way; return what it printed."""
    backend, before = WAYS[request.param]

    def run(code: str) -> list[str]:
        source = f"{before}\n{PRELUDE}\nBACKEND = {backend!r}\n{textwrap.dedent(code)}"
        command = [sys.executable, "-X", "dev", "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_a_wsgi_service_answers_at_a_port_of_its_own(run):
    assert run("""
    with Running(WSGIService(app), backend=BACKEND) as one, Running(WSGIService(app)) as other:
        print(get(f"{one.url}/one"), get(f"{other.url}/other"), one.url != other.url)
    try:
        get(one.url)
    except URLError as error:
        print(type(error.reason).__name__)
    """) == ["/one /other True", "ConnectionRefusedError"]


def test_what_a_service_sees_is_what_it_sees_in_a_worker(run):
    assert run("""
    ticked = threading.Event()
    class Seen(Service):
        announces_ready = True
        def start(self):
            print("start", launcher.worker_id())
            self.tg.add_thread(self.work)
        def work(self):
            print("work")
            launcher.ready()
        def reset(self):
            print("reset")
            self.tg.add_timer(0.01, ticked.set)
        def stop(self, graceful=True):
            print("stop")
            super().stop(graceful)
        def wait(self):
            super().wait()
            print("waited")
    class Broken(Service):
        def start(self): raise LookupError("no database")
    with Running(Seen(), backend=BACKEND, worker_id=3) as running:
        print("ready")
        running.reset()
        print("ticked" if ticked.wait(30) else "")  # while the test waits
    try:
        with Running(Broken()):
            print("never")
    except LookupError as error:
        print(error)
    """) == ["start 3", "work", "ready", "reset", "ticked", "stop", "waited", "waited", "no database"]


def test_what_comes_too_late_is_told_with_the_stacks(run):
    said = run("""
    stuck = threading.Event()
    class Never(Service):
        announces_ready = True
        def start(self): self.tg.add_thread(self.hang_about)
        def hang_about(self): stuck.wait()
    running = Running(Never(), backend=BACKEND, patience=0.2)
    for step in (running.start, running.wait_ready, running.stop, running.stop):
        try:
            step()
        except (TimeoutError, RuntimeError) as error:
            first, _, rest = str(error).partition("\\n")
            print(step.__name__, first.partition("> ")[2] or first, "in hang_about" in rest)
    """)
    assert "wait_ready did not get ready within 0.2 s True" in said
    assert "stop did not stop within 0.2 s True" in said
    assert said[-1] == "stop the service is not running False"


def test_what_makes_no_sense_is_said_and_spoils_nothing(run):
    assert run("""
    def told(call, *args):
        try:
            call(*args)
        except (RuntimeError, TypeError) as error:
            print(error)
    service = WSGIService(app)
    told(Running, WSGIService)
    running = Running(service, backend=BACKEND, patience=float("inf"))
    told(running.wait_ready)
    running.start()
    told(running.start)
    print(get(f"{running.url}/once"))
    running.stop()
    with Running(service) as running:
        print(get(f"{running.url}/again"))
    """) == [
        "WSGIService is a class; a service is an object of it",
        "the service was not started",
        "it was started already; another Running may start the service again once it was stopped",
        "/once",
        "/again",
    ]


def test_nothing_is_left_open(run):
    first, last = run("""
    import os
    for _ in range(4):
        with Running(WSGIService(app), backend=BACKEND) as running:
            get(running.url)
        print(len(os.listdir("/proc/self/fd")))
    """)[1::2]
    assert first == last
