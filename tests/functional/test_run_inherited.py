"""Listening sockets that were passed to us, as systemd does it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional import load, proc
from tests.functional.cases import SERVICE, WEB, both_backends
from tests.functional.test_run_listen import TWO, is_listened_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.functional.program import Program

    Start = Callable[..., None]
    Make = Callable[..., socket.socket]

# In the place of systemd: makes these descriptors 3, 4 and so on.
PASSES = """
import fcntl, os, sys
given = [int(each) for each in sys.argv[1].split(",") if each]
fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
for fd in given:
    os.close(fd)
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
    os.close(fd)
os.environ["LISTEN_PID"] = os.environ.get("PASS_PID") or str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""
TELLING = (
    WEB
    + SERVICE
    + """
import subprocess
class Telling(Service):
    def start(self):
        below = subprocess.run(["env"], stdout=subprocess.PIPE, text=True, check=True).stdout
        note("told", "LISTEN_" in below or any(name.startswith("LISTEN_") for name in os.environ))
"""
)


@pytest.fixture
def listener() -> Iterator[Make]:
    """Make listening sockets, at free ports if nothing else is said."""
    with ExitStack() as stack:
        yield lambda address=("127.0.0.1", 0), **how: stack.enter_context(socket.create_server(address, **how))


@pytest.fixture
def start(program: Program) -> Start:
    def start(*passed: socket.socket, names: str | None = None, pid: str | None = None, **options: object) -> None:
        fds = [each.fileno() for each in passed]
        program.configure(**options)
        environ = {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": names, "PASS_PID": pid}
        inside = (sys.executable, "-c", PASSES, ",".join(map(str, fds)))
        program.start(inside=inside, environ=environ, pass_fds=fds)

    return start


def port(listener: socket.socket) -> int:
    return listener.getsockname()[1]


@both_backends
def test_one_that_is_bound_to_the_address(program: Program, start: Start, listener: Make) -> None:
    passed = listener()
    program.write_app(TELLING)
    start(passed, services="app:web=2, app:Telling", listen=f"web=127.0.0.1:{port(passed)}")
    before = program.wait_ready(3)
    assert program.wait_for_notes("told") == ["told False"]
    assert int(load.get(port(passed))[1]) in before
    program.wait_for_output(rf"web: listens on 127\.0\.0\.1:{port(passed)}, which was passed to us")
    flags = re.search(r"^flags:\s*(\d+)$", Path(f"/proc/{program.pid}/fdinfo/3").read_text(), re.MULTILINE)
    assert int(flags[1], 8) & os.O_CLOEXEC
    molds = [program.outer(pid) for pid in program.ask("status")["molds"]]
    inode = proc.descriptors(program.pid)[3]
    assert inode.startswith("socket:")
    assert all(inode not in proc.descriptors(mold).values() for mold in molds)
    program.signal(signal.SIGHUP)
    after = program.wait_replaced(before)
    assert int(load.get(port(passed))[1]) in after
    assert program.stop() == 0
    assert is_listened_on(port(passed))  # by us, who have passed it


def test_by_number_and_by_name_also_after_it_was_let_go(program: Program, start: Start, listener: Make) -> None:
    api, web = listener(), listener()
    program.write_app(TWO.format(start="pass"))
    both = {"services": "app:Api, app:Web", "listen": "Api=fd://3, Web=fd://front"}
    start(api, web, names="back:front", **both)
    program.wait_ready(2)
    assert load.get(port(api)) == (200, "api")
    assert load.get(port(web)) == (200, "web")
    program.configure(services="app:Api", listen="fd://back")
    program.signal(signal.SIGHUP)
    program.wait_ready(1)
    program.configure(**both)
    program.signal(signal.SIGHUP)
    program.wait_for_output(r"WARNING .*descriptor 4 \(front\): passed to us, but no service listens on it")
    program.wait_ready(2)
    assert load.get(port(web)) == (200, "web")
    program.configure(services="app:Api, app:Web", listen="Api=fd://3, Web=fd://back")
    program.signal(signal.SIGHUP)
    program.wait_for_output("reload refused: .*fd://back .*: is the same socket as another of these; keep one of them")
    assert program.stop() == 0


def test_the_only_one_where_no_address_is_set(program: Program, start: Start, listener: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    program.write_app(WEB)
    start(listener(path, family=socket.AF_UNIX), services="app:web", listen=None)
    (worker,) = program.wait_ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.makefile().read().endswith(f"\n{worker}")
    program.wait_for_output(f"web: listens on unix:{path}, which was passed to us")
    assert program.stop() == 0
    assert Path(path).is_socket()


def test_a_path_stays_whose_it_is(program: Program, start: Start, listener: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    program.write_app(WEB)
    start(listener(path, family=socket.AF_UNIX), services="app:web", listen=f"unix:{path}")
    program.wait_ready()
    assert program.stop() == 0
    assert Path(path).is_socket()


def test_a_command_gets_it_too(program: Program, start: Start, listener: Make) -> None:
    serve = "import socket; s = socket.socket(fileno=3); print(s.getblocking(), s.getsockname()[1]); s.accept()"
    tell = "import os, time; print('sees', [each for each in os.environ if 'LISTEN_' in each]); time.sleep(1000)"
    passed = listener()
    commands = (f'web:{sys.executable} -uc "{serve}" {{fd}}', f'job:{sys.executable} -uc "{tell}"')
    start(passed, command="\n  ".join(commands), listen="fd://3", ready=0.01)
    program.wait_for_output(rf"web\[0\] \| True {port(passed)}\n")
    program.wait_for_output(r"job\[0\] \| sees \[\]\n")
    assert program.stop() == 0


def test_somebody_else_is_meant(program: Program, start: Start, listener: Make) -> None:
    program.write_app(TELLING)
    start(listener(), pid="4711", services="app:web, app:Telling", listen=f"web=127.0.0.1:{program.port}")
    program.wait_ready()
    assert program.get()[0] == 200
    assert program.wait_for_notes("told") == ["told False"]
    assert "passed to us" not in program.output()
    assert program.stop() == 0


class TestBadInput:
    def test_of_what_is_wanted(self, program, start, listener) -> None:
        program.write_app(WEB)
        start(listener(), listener(), names="front:back", services="app:web", listen="fd://middle")
        what = r"no such socket was passed to us by LISTEN_FDS, but descriptor 3 \(front\), descriptor 4 \(back\)"
        self.is_refused(program, rf"listen = fd://middle \(.*launcher\.conf:3\): {what}")

    def test_of_what_is_passed(self, program, start, listener, tmp_path) -> None:
        program.write_app(WEB)
        with (tmp_path / "file").open("w") as file, socket.socket() as idle:
            start(file, listener(), idle, services="app:web", listen="fd://4")
            assert program.wait_ended() == 78
        assert program.errors() == [
            "launcher: error: LISTEN_FDS = 3: descriptor 3 is no socket: socket operation on non-socket",
            "launcher: error: LISTEN_FDS = 3: descriptor 5 is no listening socket; systemd passes one where Accept=no",
        ]

    def test_of_one_that_is_not_there(self, program, start) -> None:
        program.write_app(WEB)
        program.configure(services="app:web")
        program.start(inside=(sys.executable, "-c", PASSES, ""), environ={"LISTEN_FDS": "1"})
        self.is_refused(program, "LISTEN_FDS = 1: descriptor 3 is no socket: bad file descriptor")

    @staticmethod
    def is_refused(program: Program, said: str) -> None:
        assert program.wait_ended() == 78
        (line,) = program.errors()
        assert re.search(said, line), line
        assert len(program.output().splitlines()) == 1
