"""The control socket, by real clients, well-behaved and not."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest

from launcher.supervisor.control import CLIENTS_MAX, REQUEST_MAX, ControlSocket

PATIENCE = 10  # seconds
NOBODY = 65534


class Loop:
    """As much of the supervisor's loop as the socket needs."""

    def __init__(self):
        self.watched = {}

    def watch(self, fd, call):
        assert fd not in self.watched
        self.watched[fd] = call

    def unwatch(self, fd):
        del self.watched[fd]

    def turn(self, timeout=0.0):
        """Call what is ready, until nothing is."""
        while ready := select.select([*self.watched], [], [], timeout)[0]:
            for fd in ready:
                if fd in self.watched:
                    self.watched[fd]()
            timeout = 0


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def control(loop):
    control = ControlSocket(lambda request: {"echo": request}, loop.watch, loop.unwatch)
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
        clients[-1].settimeout(PATIENCE)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(loop, address, tmp_path):
    for path in (address, tmp_path, *tmp_path.parents):  # as if the file were nobody's barrier
        if str(path) != "/" and Path(path) != Path(tempfile.gettempdir()):
            Path(path).chmod(0o777)
    pid = os.fork()
    if pid == 0:
        os._exit(_ask_as_nobody(address))
    loop.turn(PATIENCE)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _ask_as_nobody(address):
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
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
    """Open where the folder will not do; other tests use the same abstract name for a moment."""
    deadline = time.monotonic() + PATIENCE
    while (address := control.open(str(folder))) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert address.startswith("@launcher-")
    return "\0" + address[1:]


def test_a_file_that_is_in_use_is_not_stolen(loop, address, control, tmp_path):
    other = ControlSocket(lambda _: {"other": True}, loop.watch, loop.unwatch)
    open_elsewhere(other, tmp_path)
    other.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address)
        assert "echo" in ask(loop, client, b"{}\n")


def test_a_file_that_is_no_socket_is_not_removed(control, tmp_path):
    (tmp_path / "launcher.sock").write_text("precious")
    open_elsewhere(control, tmp_path)
    assert (tmp_path / "launcher.sock").read_text() == "precious"


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
