"""Hooks of the application, in a hardened container: once each, in order, never in PID 1."""

from __future__ import annotations

import re

from tests.integration.harness import both_backends

HOOKS = ("pre_start", "preload", "post_fork", "pre_stop", "worker_exit")


def options(**hooks):
    return [word for hook, path in hooks.items() for word in (f"--{hook.replace('_', '-')}", path)]


@both_backends
def test_hooks_run_in_order_in_processes_of_their_own(run_container):
    box = run_container("app:api=1", *options(**{hook: f"hooked:{hook}" for hook in HOOKS}))
    box.signal("SIGTERM")
    assert box.exit_code() == 0
    said = re.findall(r"hook in (\d+): (.*)", box.logs())
    assert [text for _, text in said] == ["pre_start", "preload", "post_fork", "pre_stop", "worker_exit api 0"]
    pids = {pid for pid, _ in said}
    assert len(pids) == 5, "pre_start, the mold, the worker, pre_stop, worker_exit"
    assert "1" not in pids


def test_a_pre_start_that_fails_ends_the_container(run_container):
    box = run_container("app:api=1", *options(pre_start="hooked:fails"), wait=False)
    assert box.exit_code() == 78
    assert box.logs().count("Traceback") == 1
    assert "/launcher/" not in box.logs()
    (line,) = [line for line in box.logs().splitlines() if line.startswith("launcher: error:")]
    assert "pre_start = hooked:fails (command line) failed: LookupError: no such table (/app/hooked.py:" in line
