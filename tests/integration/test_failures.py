"""Ends that nobody asked for have a code and a reason."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("service", "code", "backend"),
    [("Crashing", 3, "eventlet"), ("Crashing", 3, "threading"), ("Faulting", 139, "eventlet")],
    indirect=["backend"],
)
def test_a_crash_loop_ends_the_container_with_the_workers_code(run_container, termination_log, service, code):
    volumes = {str(termination_log): {"bind": "/dev/termination-log", "mode": "rw"}}
    box = run_container("--backoff-min", "0.1", f"app:{service}=1", wait=False, volumes=volumes)
    assert box.exit_code() == code
    (reason,) = [line for line in box.logs().splitlines() if line.startswith("launcher: error:")]
    assert "crash loop: 5 failures in a row" in reason
    assert termination_log.read_text() == reason.removeprefix("launcher: error: ")


@pytest.mark.parametrize("target", ["nothing:api", "app:nothing", "app:PAGES", "app:api=0"])
def test_a_service_that_is_none_is_one_line(run_container, target):
    box = run_container(target, wait=False)
    assert box.exit_code() == 78
    (line,) = [line for line in box.logs().splitlines() if line != "import begins"]
    assert line.startswith("launcher: error:")
    assert target.split("=")[0] in line


def test_a_service_that_raises_at_import_shows_its_own_traceback(run_container):
    box = run_container("broken:api", wait=False)
    assert box.exit_code() == 78
    assert box.logs().count("Traceback") == 1
    assert "/launcher/" not in box.logs()
    assert box.logs().splitlines()[-1].startswith("launcher: error: broken:api")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"environment": {"OS_LAUNCHER__WORKERS": "abc"}}, "workers = abc"),
        ({"environment": {"OS_LAUNCHER__WORKRES": "2"}}, "OS_LAUNCHER__WORKERS"),
    ],
)
def test_a_bad_option_is_one_line(run_container, options, named):
    box = run_container("app:api", wait=False, **options)
    assert box.exit_code() == 78
    (line,) = box.logs().splitlines()
    assert line.startswith("launcher: error:")
    assert named in line


@pytest.mark.parametrize("command", [["run", "--no-such-option", "app:api"], ["no-such-command"]])
def test_usage(run_container, command):
    box = run_container(command=command, wait=False)
    assert box.exit_code() == 2
    assert "launcher: error:" in box.logs()
