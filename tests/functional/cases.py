"""What several tests are parametrized with or run."""

from __future__ import annotations

import pytest

both_ways = pytest.mark.parametrize("pid1", [True, False], ids=["pid1", "not-pid1"], indirect=True)
every_way = pytest.mark.parametrize(
    ("pid1", "backend"),
    [(True, "eventlet"), (False, "eventlet"), (True, "threading")],
    ids=["pid1", "not-pid1", "threading"],
    indirect=True,
)
both_backends = pytest.mark.parametrize("backend", ["eventlet", "threading"], indirect=True)
on_threads = pytest.mark.parametrize("backend", ["threading"], indirect=True)
not_pid1 = pytest.mark.parametrize("pid1", [False], ids=["not-pid1"], indirect=True)

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


WEB = """
def web(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":  # other requests go on
        note("begun", os.getpid())
        wait_for_gate()
    if path == "/stuck":  # this worker does nothing else, it does not even accept
        note("begun", os.getpid())
        wait_for_gate(real_sleep)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""

SERVICE = """
class Service:
    def start(self): note("start", os.getpid())
    def stop(self): note("stop", os.getpid())
    def wait(self): pass
    def reset(self): note("reset", os.getpid())
"""
