"""The backdoor of each worker."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import tempfile
from contextlib import ExitStack, closing
from errno import EACCES
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, both_backends
from tests.functional.program import LAUNCHER, launcher
from tests.functional.scripts import starter
from tests.functional.visitor import Visitor
from tests.functional.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.functional.program import Program

    Visit = Callable[[Path], Visitor]

NOBODY = 65534
APP = (
    WEB
    + SERVICE
    + """
class Other(Service):
    colour = "red"
class Forking(Service):
    def start(self):
        child = os.fork()
        if child == 0:
            sys.exit()  # through all of the worker's stack
        os.waitpid(child, 0)
"""
)


@pytest.fixture
def doors() -> Iterator[Path]:
    """Where they are; a short path, for the kernel takes no long one."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "doors"


@pytest.fixture
def visit() -> Iterator[Visit]:
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(Visitor(path)))


def names(doors: Path) -> list[str]:
    return sorted(each.name for each in doors.iterdir())


@both_backends
def test_a_shell_in_each_worker(program: Program, doors: Path, visit: Visit) -> None:
    program.serve(APP, services="app:Other=2", listen=None, backdoor_socket=doors / "{service}-{worker}")
    assert names(doors) == ["Other-0", "Other-1"]
    assert stat.S_IMODE(doors.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in doors.iterdir()} == {0o600}
    first, second = program.workers()
    one, other = visit(doors / "Other-0"), visit(doors / "Other-0")
    assert one.greeting.startswith(f"process {first}: fo(CLASS)")
    assert visit(doors / "Other-1").greeting.startswith(f"process {second}: ")
    assert one.enter("services[0].colour") == "'red'\n"
    assert one.enter("services[0].colour = 'green'") == ""
    assert other.enter("services[0].colour, conf.launcher.workers") == "('green', 1)\n"
    assert other.enter("def twice(x):") == ""
    assert other.enter("    print(x); print(x, file=sys.stderr)") == ""
    assert other.enter("") == ""
    assert other.enter("import sys; twice('a')") == "a\na\n"
    assert "SyntaxError" in other.enter("1 +* 1")
    assert "ZeroDivisionError" in other.enter("1 / 0")
    assert one.enter("fo(type(services[0]))[0] is services[0]") == "True\n"
    assert "obey_signals" in one.enter("pgt()" if program.backend == "eventlet" else "pnt()")
    assert "inbox = " in one.enter("pgt(simple=False)") or program.backend == "threading"
    assert len(one.enter("'x' * 10**6")) > 10**6
    assert program.stop() == 0
    assert names(doors) == []
    assert "ZeroDivisionError" not in program.output()


@both_backends
def test_what_clients_do_does_not_hurt_the_worker(program: Program, doors: Path, visit: Visit) -> None:
    program.serve(APP, services="app:web=1", backdoor_socket=doors / "{pid}")
    (worker,) = program.workers()
    door = doors / str(worker)
    for end in ("exit()", "quit(3)", "import sys; sys.exit(4)", "raise SystemExit"):
        visitor = visit(door)
        assert visitor.enter(end) == ""
        assert visitor.socket.recv(1) == b""
    visit(door).reset()
    floods = visit(door)
    floods.socket.sendall(b"while True: print('x' * 1000)\n\n")
    floods.socket.recv(1000)
    floods.reset()
    half = visit(door)
    half.socket.sendall(b"open('half', 'w').close()")
    half.socket.shutdown(socket.SHUT_WR)
    program.wait_for((program.folder / "half").exists, "a last line without an end")
    silent = [visit(door) for _ in range(5)]
    assert silent[-1].enter("1 + 1") == "2\n"
    assert program.get() == (200, str(worker))
    assert proc.descriptors(program.outer(worker))[0] == "/dev/null"  # which exit() would have closed
    assert program.workers() == [worker]
    busy = silent[0]
    busy.socket.sendall(b"import time; print('sleeps'); time.sleep(1000)\n")
    assert busy.socket.recv(6) == b"sleeps"
    assert program.stop() == 0
    assert names(doors) == []
    program.wait_nothing_left()


def test_stale_ones_go_and_the_newest_worker_has_the_path(program: Program, doors: Path, visit: Visit) -> None:
    doors.mkdir()
    for name in ("web-7", "others"):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(doors / name))
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(doors / "web-8"))
        living.listen()
        program.serve(APP, services="app:web=1", backdoor_socket=doors / "web-{worker}")
        (old,) = program.workers()
        assert names(doors) == ["others", "web-0", "web-8"]
        living.setblocking(False)
        with pytest.raises(BlockingIOError):
            living.accept()  # nobody has knocked
    program.signal(signal.SIGHUP)
    (new,) = program.wait_replaced([old])
    assert visit(doors / "web-0").greeting.startswith(f"process {new}: ")
    program.signal(signal.SIGKILL, new)
    (newest,) = program.wait_replaced([new])
    assert visit(doors / "web-0").greeting.startswith(f"process {newest}: ")
    assert program.stop() == 0
    assert names(doors) == ["others"]


def test_where_there_can_be_none_is_one_warning(program: Program, doors: Path) -> None:
    doors.mkdir()
    (doors / "file-0").touch()
    (doors / "open").mkdir()
    (doors / "open").chmod(0o777)
    cases = {
        doors / "file-{worker}": "file-0: no backdoor: the path exists and is no socket",
        doors / "open/{worker}": "no backdoor: everybody may write to ",
        doors / f"{'x' * 100}-{{worker}}": "no backdoor: the path is too long: ",
        doors / "no/folder/{worker}": "no backdoor: no such file or directory",
    }
    program.serve(APP, services="app:web=1", backdoor_socket=next(iter(cases)))
    for path, warning in cases.items():
        before = program.workers()
        program.configure(services="app:web=1", backdoor_socket=path)
        program.signal(signal.SIGHUP)
        program.wait_replaced(before)
        line = program.wait_for_output(f"WARNING launcher.backdoor.*{warning}.*")
        assert "backdoor_socket = " in line[0]
        assert program.get()[0] == 200
    assert program.stop() == 0


def test_several_services_would_share_a_path(program: Program) -> None:
    program.write_app(APP)
    program.configure(services="app:Service, app:Other", listen=None, backdoor_socket="/tmp/{worker}")
    program.start()
    assert program.wait_ended() == 78
    (line,) = program.errors()
    assert "several services would share a path; put {service} into it" in line


def heard_by_nobody(door: Path) -> int:
    """Knock as another user; return how many bytes were heard, or the errno."""
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setuid(NOBODY)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(door))
                os._exit(len(client.recv(100)))
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(program: Program, doors: Path, visit: Visit) -> None:
    program.serve(APP, services="app:web=1", backdoor_socket=doors / "{worker}")
    for folder in (doors, doors.parent):
        folder.chmod(0o711)
    assert heard_by_nobody(doors / "0") == EACCES  # by its mode
    (doors / "0").chmod(0o666)
    assert heard_by_nobody(doors / "0") == 0  # by what the kernel says of the client
    assert visit(doors / "0").enter("1") == "1\n"
    assert program.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_of_programs_that_launch_services_themselves(tmp_path: Path, doors: Path, visit: Visit, workers: int) -> None:
    with starter(tmp_path) as start:
        script = start(
            f"""
            running = launcher.launch(conf, Recorder(), workers={workers})
            sys.exit(running.wait())
            """,
            backdoor_socket=doors / "{worker}",
        )
        script.wait_for_notes("service", "start", count=workers)
        for worker in range(workers):
            assert visit(doors / str(worker)).enter("services[0].name") == "'service'\n"
        assert script.stop() == 0
        assert names(doors) == []


def test_the_command_that_enters_it(program: Program, doors: Path) -> None:
    program.serve(APP, services="app:Forking=1", listen=None, backdoor_socket=doors / "{worker}")
    (worker,) = program.workers()
    done = subprocess.run(
        [*LAUNCHER, "backdoor", str(doors / "0")],
        input="import os\nos.getpid()\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[1:] == [f">>> >>> {worker}", ">>> "]
    done = launcher(program, "backdoor", str(doors / "1"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"launcher: error: backdoor: {doors / '1'}: no such file or directory; is backdoor_")
    done = launcher(program, "backdoor")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert program.stop() == 0


def entered(doors: Path, **streams: object) -> subprocess.CompletedProcess[bytes]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run([*LAUNCHER, "backdoor", str(doors / "0")], timeout=PATIENCE, check=False, **streams)


def test_the_ends_of_the_command_that_enters_it(program: Program, doors: Path, tmp_path: Path) -> None:
    program.serve(APP, services="app:Other=1", listen=None, backdoor_socket=doors / "{worker}")
    much = entered(doors, input=b"print('x' * 1000)\n" * 20_000)  # more than the kernel keeps, both ways
    assert (much.returncode, much.stdout.count(b"x" * 1000)) == (0, 20_000)
    too_long = entered(doors, input=b"x" * 4_000_000)
    assert (too_long.returncode, too_long.stderr) == (0, b"")
    with (tmp_path / "written").open("wb") as file:
        unreadable = entered(doors, stdin=file)
    message = b"launcher: error: backdoor: stdin or stdout: bad file descriptor\n"
    assert (unreadable.returncode, unreadable.stderr) == (1, message)
    without = entered(doors, preexec_fn=lambda: os.close(0))
    assert (without.returncode, without.stderr) == (0, b"")
    reader, writer = os.pipe()
    os.close(reader)
    unread = entered(doors, stdin=subprocess.DEVNULL, stdout=writer)
    assert (unread.returncode, unread.stderr) == (141, b"")
    os.close(writer)
    assert program.stop() == 0
