"""`launcher exec` as the init of a container: by the image's entry point, one on top of it, another's name."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.harness import BASE_IMAGE, wait_for

DOCKERFILE = f"""
FROM {BASE_IMAGE}
USER 0
RUN for name in tini dumb-init; do ln -s /opt/venv/bin/launcher /usr/bin/$name; done
USER 10001
ENTRYPOINT ["launcher", "exec", "--"]
HEALTHCHECK NONE
"""
ON_INT = 'trap "exit 9" INT; echo waits; while :; do sleep 0.1; done'


@pytest.fixture(scope="session")
def image_on_top(engine, run_id):
    tag = f"launcher-test-exec:{run_id}"
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, "-"], input=DOCKERFILE, text=True, check=True)
    yield tag
    engine.images.remove(tag, force=True)


@pytest.fixture
def run(run_container):
    """Run a command below the base image's own entry point."""
    return lambda *command, **options: run_container(
        image=BASE_IMAGE, command=["exec", "--", *command], wait=False, **options
    )


@pytest.fixture
def run_on_top(run_container, image_on_top):
    """Run a command below an entry point of the image on top, its own or another."""
    return lambda *command, **options: run_container(image=image_on_top, command=[*command], wait=False, **options)


def await_exec(box):
    """Wait until the container's first process is no longer what makes containers."""
    pid = box.state()["Pid"]
    wait_for(lambda: b"/opt/venv" in Path(f"/proc/{pid}/cmdline").read_bytes(), "PID 1")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
    ],
)
@pytest.mark.parametrize("where", ["run", "run_on_top"])
def test_exit_code(request, where, command, code):
    assert request.getfixturevalue(where)(*command).exit_code() == code


@pytest.mark.parametrize("init", [False, True], ids=["pid1", "below-docker-init"])
def test_the_command_is_as_without_us(run, run_on_top, init):
    show = ("sh", "-c", "env; ls /proc/self/fd; grep -E '^(Sig|Cap|NoNew|Uid)' /proc/self/status; ulimit -a; pwd")
    options = {"hostname": "same", "init": init}
    below, bare = run(*show, **options), run_on_top(*show, entrypoint=[], **options)
    assert (below.exit_code(), bare.exit_code()) == (0, 0)
    assert below.logs() == bare.logs()


def test_it_is_pid_1_and_reaps(run_on_top):
    box = run_on_top("sh", "-c", "(sleep 0.1 & sleep 0.1 &); cat /proc/1/cmdline; echo; exec sleep 1000")
    box.said("launcher")
    wait_for(lambda: len(box.run("cat", "/proc/1/task/1/children").split()) == 1, "orphans to be reaped")
    assert box.stop() == 143


@pytest.mark.parametrize("entrypoint", [["tini", "-e", "143", "--"], ["tini", "-g", "-e", "143"]])
def test_link_named_tini(run_on_top, entrypoint):
    box = run_on_top("sleep", "1000", entrypoint=entrypoint)
    await_exec(box)
    assert box.stop() == 0


@pytest.mark.parametrize("entrypoint", [["dumb-init", "--rewrite", "15:2"], ["dumb-init", "-cr15:2", "--"]])
def test_link_named_dumb_init(run_on_top, entrypoint):
    box = run_on_top("sh", "-c", ON_INT, entrypoint=entrypoint)
    box.said("waits")
    assert box.stop() == 9


@pytest.mark.parametrize("end", ["stop", "signal"])
@pytest.mark.parametrize("attempt", range(5))
def test_term_right_after_the_start(run, end, attempt):
    box = run("sleep", "1000")
    await_exec(box)
    if end == "signal":
        box.signal("TERM")
    assert (box.exit_code() if end == "signal" else box.stop()) == 143


def test_at_a_terminal(run):
    box = run("sh", "-c", "test -t 0 && echo waits; read line; echo got $line", tty=True, stdin_open=True)
    box.said("waits")
    socket = box.container.attach_socket(params={"stdin": 1, "stream": 1})
    socket._sock.sendall(b"hello\n")
    assert box.exit_code() == 0
    socket._response.close()
    assert "got hello" in box.logs()
