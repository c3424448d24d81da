"""Poor surroundings: closed or blocked streams, no user, no home, no /proc, nothing writable."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import SERVICE, WEB, both_ways
from tests.functional.program import LAUNCHER, NEW_NAMESPACE, USER_NAMESPACE, Program, reserved_port
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
MOUNT_NAMESPACE = (*NEW_NAMESPACE, "--mount")


def shell(prepare: str) -> tuple[str, ...]:
    """Return a command that prepares something and execs the rest of its command line."""
    return ("sh", "-c", f'{prepare} exec "$@"', "sh")


def check_it_works(program: Program) -> None:
    """It serves, replaces a killed worker, and stops."""
    program.wait_for(lambda: answers(program), "an answer")
    killed = program.get()[1]
    program.signal(signal.SIGKILL, int(killed))
    program.wait_for(lambda: answers(program, but=killed), "an answer of another worker")
    assert program.stop() == 0
    program.wait_nothing_left()


def answers(program: Program, but: str = "") -> bool:
    """Whether a worker answers, and another one than `but`."""
    try:
        status, body = program.get()
    except OSError:
        return False
    return status == 200 and body != but


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(program: Program, closed: str) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1")
    program.start(inside=("sh", "-c", f'exec "$@" {closed}', "sh"))
    check_it_works(program)


@contextmanager
def full_pipe() -> Iterator[int]:
    """Yield the write end of a pipe that takes nothing more and that nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    yield write
    os.close(read)
    os.close(write)


@both_ways
def test_a_full_stderr_that_nobody_reads(program: Program) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1")
    with full_pipe() as write:
        program.start(stderr=write)
        check_it_works(program)


@both_ways
def test_a_stderr_whose_reader_is_gone(program: Program) -> None:
    read, write = os.pipe()
    os.close(read)
    program.write_app(WEB)
    program.configure(services="app:web=1")
    program.start(stderr=write)
    os.close(write)
    check_it_works(program)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read: pytest's own are the tester's alone."""
    folder = Path(tempfile.mkdtemp(prefix="launcher-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_program(open_folder: Path, pid1: bool) -> Iterator[Program]:
    """A program that may run as any user."""
    with reserved_port() as port:
        program = Program(open_folder, port, pid1=pid1)
        yield program
        program.show()
        program.close()


@as_root
@both_ways
def test_an_arbitrary_user_without_home(open_program: Program) -> None:
    user = ("setpriv", "--reuid", "123456", "--regid", "0", "--clear-groups", "--no-new-privs", "--bounding-set=-all")
    if subprocess.run([*user, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("this Python is in a folder that not everybody may enter")
    open_program.write_app(WEB)
    open_program.configure(services="app:web=1")
    open_program.start(inside=user, environ={"HOME": None})
    check_it_works(open_program)


@both_ways
def test_no_environment_at_all(program: Program) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1", runtime_dir=program.folder)
    program.start(environ={"HOME": None, "PATH": None, "LAUNCHER_RUNTIME_DIR": None})
    check_it_works(program)


def test_no_proc(program: Program) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1")
    program.start(namespace=MOUNT_NAMESPACE, inside=shell("mount -t tmpfs none /proc &&"))
    program.wait_ready()
    check_it_works(program)


def inside(program: Program, *command: str, **environ: str | None) -> int:
    """Run a command in the program's namespaces; return the exit code."""
    user = ("--user", "--preserve-credentials") if USER_NAMESPACE else ()
    return subprocess.run(
        ["nsenter", "--target", str(program.pid), *user, "--pid", "--mount", *command],
        cwd=program.folder,
        env=program.environment(**environ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    ).returncode


@pytest.mark.parametrize("proc_too", [True, False], ids=["proc", "no-proc"])
def test_nothing_writable(program: Program, proc_too: bool) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1")
    mounts = "mount -t proc proc /proc &&" if proc_too else "mount -t tmpfs none /proc &&"
    readonly = "mount -o bind,remount,ro / && ! touch notes 2>&- &&"
    program.start(
        namespace=MOUNT_NAMESPACE, inside=shell(f"{mounts} {readonly}"), environ={"LAUNCHER_RUNTIME_DIR": None}
    )
    program.wait_for(lambda: answers(program), "an answer")
    health = (*LAUNCHER, "healthcheck")
    assert inside(program, *health, LAUNCHER_RUNTIME_DIR=None) == 0
    assert not list(program.folder.glob("launcher.sock"))
    check_it_works(program)


def test_a_runtime_directory_that_is_not_there_is_no_reason_not_to_start(program: Program) -> None:
    nowhere = str(program.folder / "nowhere")
    program.write_app(WEB)
    program.configure(services="app:web=1")
    program.start(environ={"LAUNCHER_RUNTIME_DIR": nowhere})
    program.wait_for(lambda: answers(program), "an answer")
    assert inside(program, *LAUNCHER, "healthcheck", LAUNCHER_RUNTIME_DIR=nowhere) == 0
    check_it_works(program)


def test_pid_1_is_found_wherever_it_listens_unless_somebody_says_where_to_look(program: Program) -> None:
    run, elsewhere = program.folder / "run", program.folder / "elsewhere"
    for folder in (run, elsewhere):
        folder.mkdir()
    program.write_app(SERVICE)
    program.configure(services="app:Service", listen=None, runtime_dir=run)
    program.start()
    health = (*LAUNCHER, "healthcheck")
    program.wait_for(lambda: inside(program, *health) == 0, "readiness")
    assert inside(program, *health, "--runtime-dir", str(elsewhere)) == 1
    assert inside(program, *health, OS_LAUNCHER__RUNTIME_DIR=str(elsewhere)) == 1


@both_ways
def test_a_socket_file_of_a_killed_supervisor_is_no_obstacle(program: Program) -> None:
    listen = f"unix:{program.folder}/web"
    program.serve(SERVICE, services="app:Service=1", listen=listen)
    program.signal(signal.SIGKILL)
    program.wait_ended()
    assert (program.folder / "launcher.sock").exists()
    assert (program.folder / "web").exists()
    wait_for(lambda: not program.left(), "the old one to be gone")
    program.start()
    program.wait_ready()
    assert program.stop() == 0
    assert not (program.folder / "launcher.sock").exists()
    assert not (program.folder / "web").exists()


def few_descriptors(count: int) -> tuple[str, ...]:
    """Return a command that lowers the limit and execs the rest of its command line."""
    return shell(f"ulimit -n {count};")


def test_with_too_few_descriptors_to_start_one_line_says_so(program: Program) -> None:
    program.write_app(SERVICE)
    program.configure(services="app:Service=1", listen=None)
    program.start(inside=few_descriptors(8))
    assert program.wait_ended() == 70
    assert program.output() == "launcher: error: cannot start: too many open files: raise the limit (ulimit -n)\n"


@pytest.mark.parametrize("command", [None, "other:sleep 600"])
@pytest.mark.parametrize("count", range(11, 15))
def test_with_too_few_descriptors_to_go_on_the_supervisor_ends_with_a_line_or_not_at_all(
    program: Program, count: int, command: str | None
) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=1", command=command)
    program.start(inside=few_descriptors(count))
    program.wait_for(lambda: program.ended() or program.output(), "an end, or a line")
    program.ended() or program.stop()
    assert "Traceback" not in program.output()
    assert program.process.returncode in {0, 70, 78}


def test_a_command_that_gets_no_descriptors_is_told_in_a_line(program: Program) -> None:
    program.configure(command="cmd:sleep 600", listen=None, backoff_min=0.05, backoff_max=0.05)
    program.start(inside=few_descriptors(18))
    assert program.wait_ended() == 126
    (error,) = program.errors()
    assert error.endswith("cannot be executed: too many open files: raise the limit (ulimit -n)")
    assert "Traceback" not in program.output()
