"""The control socket, by real clients, well-behaved and not."""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import stat
import tempfile
from contextlib import ExitStack
from math import inf
from pathlib import Path

import pytest

from launcher.supervisor.clients import PATIENCE, REQUEST_MAX
from launcher.supervisor.control import CLIENTS_MAX, RESPITE, ControlSocket
from launcher.supervisor.places import abstract_name
from launcher.supervisor.timers import Timers
from launcher.supervisor.watching import EPOLLIN

DEADLINE = 10  # seconds
NOBODY = 65534


class Loop:
    """As much of the supervisor's loop as the socket needs."""

    def __init__(self):
        self.watched = {}
        self.now = 1000.0
        self.timers = Timers(lambda: self.now)
        self._epoll = select.epoll()

    def watch(self, fd, call, events=EPOLLIN):
        (self._epoll.modify if fd in self.watched else self._epoll.register)(fd, events)
        self.watched[fd] = call

    def unwatch(self, fd):
        del self.watched[fd]
        self._epoll.unregister(fd)

    def turn(self, timeout=0.0):
        """Call what is ready, until nothing is."""
        while ready := self._epoll.poll(timeout):
            for fd, _ in ready:
                if fd in self.watched:
                    self.watched[fd]()
            timeout = 0

    def wait(self, seconds):
        """Let time go by."""
        self.now += seconds
        self.timers.expire(self.now)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def control(loop):
    control = ControlSocket(lambda request, _client: {"echo": request}, loop)
    yield control
    control.close()


@pytest.fixture
def address(control, tmp_path):
    return control.open(str(tmp_path))


@pytest.fixture
def connect(address):
    clients = []

    def connect():
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].settimeout(DEADLINE)
        clients[-1].connect(address)
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def reply(loop, client):
    """What the client is told before the connection ends; None if it does not end."""
    loop.turn()
    client.setblocking(False)
    told = b""
    try:
        while more := client.recv(65536):
            told += more
    except ConnectionResetError:  # refused with its request unread
        return ""
    except BlockingIOError:
        return None
    return told.decode()


def ask(loop, client, request):
    client.sendall(request)
    return reply(loop, client)


# Requests


def test_a_request_is_answered_and_the_connection_closed(loop, connect):
    assert json.loads(ask(loop, connect(), b'{"command": "live"}\n')) == {"echo": {"command": "live"}}


def test_a_request_may_come_in_pieces(loop, connect):
    client = connect()
    for piece in (b'{"comm', b'and": ', b'"live"}'):
        assert ask(loop, client, piece) is None
    assert json.loads(ask(loop, client, b"\n")) == {"echo": {"command": "live"}}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (b"live\n", "not JSON"),
        (b"\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 4000 + b"\n", "not JSON"),
        (b"[1]\n", "not an object"),
        (b"null\n", "not an object"),
    ],
)
def test_what_makes_no_sense_is_told_so(loop, connect, request_, error):
    assert json.loads(ask(loop, connect(), request_)) == {"error": error}


def test_a_request_that_is_too_long_ends_the_connection(loop, connect):
    assert ask(loop, connect(), b"x" * 2 * REQUEST_MAX) is not None
    assert ask(loop, connect(), b"{}\n")


def test_a_client_that_leaves_without_a_word_disturbs_nobody(loop, connect):
    client = connect()
    loop.turn()
    client.close()
    loop.turn()
    assert len(loop.watched) == 1, "only the listener is left"
    assert ask(loop, connect(), b"{}\n")


def test_a_client_that_does_not_wait_for_the_answer_disturbs_nobody(loop, connect):
    client = connect()
    client.sendall(b"{}\n")
    client.close()
    loop.turn()
    assert ask(loop, connect(), b"{}\n")


def test_clients_that_say_nothing_disturb_nobody(loop, connect):
    silent = [connect() for _ in range(5)]
    assert ask(loop, connect(), b"{}\n")
    assert all(reply(loop, client) is None for client in silent)


def test_of_too_many_clients_the_one_that_waits_longest_is_dropped(loop, connect):
    silent = []
    for _ in range(CLIENTS_MAX):
        silent.append(connect())
        loop.turn()
    assert ask(loop, connect(), b"{}\n")
    first, *others = (reply(loop, client) for client in silent)
    assert first == ""
    assert others == [None] * (CLIENTS_MAX - 1)
    assert len(loop.watched) == CLIENTS_MAX


def test_a_client_that_does_not_ask_is_dropped_in_time(loop, connect):
    silent, slow = connect(), connect()
    assert ask(loop, slow, b'{"comm') is None
    loop.wait(PATIENCE - 0.1)
    assert reply(loop, silent) is None
    loop.wait(0.1)
    assert [reply(loop, client) for client in (silent, slow)] == ["", ""]
    assert len(loop.watched) == 1, "only the listener is left"


def test_no_timer_is_set_when_nobody_is_there(loop, connect):
    client = connect()
    loop.turn()
    assert loop.timers.deadline() < inf
    assert ask(loop, client, b"{}\n")
    assert loop.timers.deadline() == inf


# Long replies, late replies


@pytest.fixture
def serve(loop, tmp_path):
    """Answer in the way of the test; return a connected client."""
    with ExitStack() as stack:

        def serve(answer):
            control = ControlSocket(answer, loop)
            stack.callback(control.close)
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(DEADLINE)
            client.connect(control.open(str(tmp_path)))
            return client

        yield serve


def test_a_reply_may_be_longer_than_what_the_kernel_takes_at_once(loop, serve):
    words = ["word"] * 200_000
    client = serve(lambda *_: {"words": words})
    client.sendall(b"{}\n")
    loop.turn()
    told = b""
    while not told.endswith(b"\n"):
        told += client.recv(65536)
        loop.turn()
    assert json.loads(told) == {"words": words}
    assert (len(loop.watched), loop.timers.deadline()) == (1, inf)


def test_a_client_that_does_not_take_its_reply_is_dropped_in_time(loop, serve):
    client = serve(lambda *_: {"words": ["word"] * 200_000})
    client.sendall(b"{}\n")
    loop.turn()
    assert len(loop.watched) == 2
    loop.wait(PATIENCE)
    assert len(loop.watched) == 1


def test_a_client_that_leaves_in_the_middle_of_its_reply_disturbs_nobody(loop, serve):
    client = serve(lambda *_: {"words": ["word"] * 200_000})
    client.sendall(b"{}\n")
    loop.turn()
    client.close()
    loop.turn()
    assert (len(loop.watched), loop.timers.deadline()) == (1, inf)


@pytest.fixture
def waiting(loop, serve):
    """A client that waits, on both sides."""
    seen = []
    client = serve(lambda _, client: seen.append(client))
    client.sendall(b"{}\n")
    loop.turn()
    return client, seen[0]


def test_one_that_waits_is_answered_when_the_time_has_come(loop, waiting):
    client, ours = waiting
    loop.wait(100 * PATIENCE)
    assert (reply(loop, client), ours.waits, loop.timers.deadline()) == (None, True, inf)
    ours.reply({"at": "last"})
    assert json.loads(reply(loop, client)) == {"at": "last"}
    assert (ours.is_gone, ours.waits, len(loop.watched)) == (True, False, 1)


def test_one_that_waits_and_says_more_does_not_wake_us(loop, waiting):
    client, ours = waiting
    client.sendall(b"x" * 1000)
    client.shutdown(socket.SHUT_WR)
    loop.turn()
    ours.reply({"at": "last"})
    assert client.recv(100) == b'{"at": "last"}\n'


def test_one_that_waits_no_longer_is_forgotten(loop, waiting):
    client, ours = waiting
    client.close()
    loop.turn()
    assert (ours.is_gone, len(loop.watched)) == (True, 1)
    ours.reply({"too": "late"})


def test_whoever_waits_is_not_the_one_to_be_dropped(loop, waiting, tmp_path):
    client, ours = waiting
    others = [socket.socket(socket.AF_UNIX) for _ in range(2 * CLIENTS_MAX)]
    for other in others:
        other.connect(str(tmp_path / "launcher.sock"))
        loop.turn()
    assert len(loop.watched) == CLIENTS_MAX + 2
    ours.reply({"at": "last"})
    assert reply(loop, client)
    for other in others:
        other.close()


@pytest.fixture
def no_descriptors():
    """Let nobody open anything."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_out_of_descriptors_it_takes_a_rest(loop, connect, request):
    client = connect()
    client.sendall(b"{}\n")
    give_back = request.getfixturevalue("no_descriptors")
    loop.turn()
    assert loop.watched == {}, "else it would be woken for ever"
    give_back()
    loop.wait(RESPITE)
    assert reply(loop, client)


def test_it_can_be_closed_while_it_takes_a_rest(control, loop, connect, request):
    connect()
    give_back = request.getfixturevalue("no_descriptors")
    loop.turn()
    give_back()
    control.close()
    assert (loop.watched, loop.timers.deadline()) == ({}, inf)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(loop, address, tmp_path):
    for path in (address, tmp_path, *tmp_path.parents):  # as if the file were nobody's barrier
        if str(path) != "/" and Path(path) != Path(tempfile.gettempdir()):
            Path(path).chmod(0o777)
    pid = os.fork()
    if pid == 0:
        os._exit(_ask_as_nobody(address))
    loop.turn(DEADLINE)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _ask_as_nobody(address):
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(DEADLINE)
        try:
            client.connect(address)
            client.sendall(b"{}\n")
            return 1 if client.recv(100) else 0
        except (BrokenPipeError, ConnectionResetError):
            return 0
        except OSError:
            return 2


# Places


def test_only_its_owner_may_use_the_file(address):
    assert stat.S_IMODE(Path(address).stat().st_mode) == 0o600


def test_the_file_is_removed_at_the_end(control, address, loop):
    control.close()
    assert not Path(address).exists()
    assert loop.watched == {}


def test_a_child_that_closes_its_copies_removes_nothing(control, address, connect, loop):
    client = connect()
    loop.turn()
    pid = os.fork()
    if pid == 0:
        control.close_in_child()
        os._exit(sum(Path(f"/proc/self/fd/{fd}").exists() for fd in loop.watched))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask(loop, client, b"{}\n")


def test_a_stale_file_is_replaced(control, loop, tmp_path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "launcher.sock"))
    assert control.open(str(tmp_path)) == str(tmp_path / "launcher.sock")


def open_elsewhere(control, folder):
    """Open where the folder will not do."""
    address = control.open(str(folder))
    assert address.startswith("@launcher-")
    return "\0" + address[1:]


def test_a_file_that_is_in_use_is_not_stolen(loop, address, control, tmp_path):
    other = ControlSocket(lambda *_: {"other": True}, loop)
    open_elsewhere(other, tmp_path)
    assert other.taken == str(tmp_path / "launcher.sock")
    other.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert "echo" in ask(loop, client, b"{}\n")


def test_a_file_that_is_no_socket_is_not_removed(control, tmp_path):
    (tmp_path / "launcher.sock").write_text("precious")
    open_elsewhere(control, tmp_path)
    assert (tmp_path / "launcher.sock").read_text() == "precious"
    assert control.taken == ""


@pytest.mark.parametrize("folder", ["missing/folder", "x" * 200])
def test_without_a_folder_it_has_an_abstract_name(control, loop, tmp_path, folder):
    if "/" not in folder:
        (tmp_path / folder).mkdir()
    address = open_elsewhere(control, tmp_path / folder)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert ask(loop, client, b"{}\n")
    control.close()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(address)


def test_whoever_asked_for_another_folder_has_another_abstract_name(tmp_path, monkeypatch):
    monkeypatch.delenv("LAUNCHER_RUNTIME_DIR", raising=False)
    names = {abstract_name(folder) for folder in ("", str(tmp_path / "a"), str(tmp_path / ("x" * 200) / "b"))}
    monkeypatch.setenv("LAUNCHER_RUNTIME_DIR", str(tmp_path / "a"))
    assert abstract_name("") in names
    assert len(names) == 3
    for name in names:
        assert len(name) <= 107


@pytest.fixture
def folder_in_tmp():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make somebody else's folder")
def test_a_folder_in_tmp_that_is_somebody_elses_is_not_used(control, folder_in_tmp):
    os.chown(folder_in_tmp, NOBODY, NOBODY)
    folder_in_tmp.chmod(0o777)
    open_elsewhere(control, folder_in_tmp)
    assert list(folder_in_tmp.iterdir()) == []


def test_a_link_in_tmp_is_not_followed(control, folder_in_tmp, tmp_path):
    (folder_in_tmp / "launcher").symlink_to(tmp_path)
    open_elsewhere(control, folder_in_tmp / "launcher")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_tmp_is_made_for_its_owner_only(control, folder_in_tmp):
    folder = folder_in_tmp / "launcher"
    assert control.open(str(folder)) == str(folder / "launcher.sock")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
