"""No privileges, no writable file system, no user: it runs all the same."""

from __future__ import annotations

import json

import pytest

STRANGER = "123456"  # no such user in the image


@pytest.mark.parametrize(
    ("user", "tmpfs", "backend"),
    [
        (STRANGER, {"/tmp": ""}, "eventlet"),
        (STRANGER, {}, "eventlet"),
        (STRANGER, {}, "threading"),
        (f"{STRANGER}:0", {"/tmp": ""}, "eventlet"),
        (f"{STRANGER}:0", {}, "eventlet"),
        ("0", {"/tmp": ""}, "eventlet"),
        ("0", {}, "eventlet"),
    ],
    indirect=["backend"],
)
def test_any_user_without_capabilities_on_a_read_only_root(run_container, user, tmpfs):
    box = run_container("app:api=2", user=user, tmpfs=tmpfs)
    box.await_workers(2)
    assert box.attempt("launcher", "healthcheck") == (0, "ready: yes\n")
    assert box.get().status == 200
    first = box.processes()[1].fields
    assert first["Uid"].split()[0] == user.partition(":")[0]
    assert (int(first["CapEff"], 16), first["NoNewPrivs"]) == (0, "1")
    assert box.stop() == 0


def test_without_hardening_it_runs_as_well(run_container):
    box = run_container("app:api=2", read_only=False, cap_drop=[], security_opt=[], tmpfs={})
    box.await_workers(2)
    assert "/run/launcher/launcher.sock" in box.run("find", "/run/launcher", "-type", "s", "-perm", "600")
    assert box.stop() == 0
    assert box.container.diff() in (None, []), "the control socket, or something else, was left behind"


def test_the_control_socket_is_for_its_own_user(run_container):
    # Nothing is writable, so it has no file whose mode would keep others out.
    box = run_container("app:api=1", tmpfs={})
    question = ["python3", "/app/ask.py", "live", "10001"]
    assert json.loads(box.run(*question)) == {"ok": True}
    assert box.container.exec_run(question, user=STRANGER).output == b"refused\n"


def test_the_healthcheck_finds_a_configured_runtime_dir(run_container):
    box = run_container("app:api=1", "--runtime-dir", "/tmp")
    assert box.attempt("launcher", "healthcheck") == (0, "ready: yes\n")
    assert box.run("find", "/tmp", "-type", "s") == "/tmp/launcher.sock\n"
    assert box.stop() == 0
