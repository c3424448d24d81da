"""Listening sockets of the supervisor."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from launcher.errors import ConfigError
from launcher.names import look_up
from launcher.supervisor.settings import Listen, Settings
from launcher.supervisor.sockets import Listeners

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def listeners():
    listeners = Listeners()
    yield listeners
    listeners.close()


@pytest.fixture
def free_port():
    with socket.socket() as holder:  # bound and not listening: who sets SO_REUSEADDR may have it
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def wanted(address, service="api"):
    return look_up(Settings(services=(), listen=(Listen(service, address, "shop.conf:3"),))).listen[0]


def only(listeners, listen):
    (listener,) = listeners.of([listen], listen.service)
    return listener


def answers(address, family=socket.AF_INET):
    with socket.socket(family) as client:
        client.settimeout(10)
        return client.connect_ex(address) == 0


@pytest.mark.parametrize(
    ("address", "family"), [(ANY_PORT, socket.AF_INET), (":0", socket.AF_INET), ("[::1]:0", socket.AF_INET6)]
)
def test_a_bound_address_is_listened_on(listeners, address, family):
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    listeners.bind([wanted(address)])
    listener = only(listeners, wanted(address))
    assert answers(listener.getsockname(), family)
    assert not listener.getblocking()
    assert not listener.get_inheritable()
    listener.accept()[0].close()


def test_an_address_that_is_kept_keeps_its_socket_and_its_queue(listeners):
    listen = wanted(ANY_PORT)
    listeners.bind([listen])
    before = only(listeners, listen)
    with socket.create_connection(before.getsockname()):
        listeners.bind([listen, wanted("127.0.0.1:00")])
        listeners.keep([listen])
        assert only(listeners, listen) is before
        before.accept()[0].close()


def test_each_service_gets_its_own(listeners):
    api, admin = wanted(ANY_PORT), wanted("127.0.0.1:00", "admin")
    listeners.bind([api, admin])
    assert len(listeners.of([api, admin], "api")) == len(listeners.of([api, admin], "admin")) == 1
    assert only(listeners, api) is not only(listeners, admin)
    assert listeners.of([api, admin], "scheduler") == ()


def test_any_port_is_a_port_for_each_service_and_each_time_it_is_asked_for(listeners):
    asked = [wanted(ANY_PORT), wanted(ANY_PORT, "admin"), wanted(ANY_PORT, "admin")]
    listeners.bind(asked)
    ports = [each.getsockname()[1] for name in ("api", "admin") for each in listeners.of(asked, name)]
    assert len(set(ports)) == 3
    listeners.bind(asked)
    assert [each.getsockname()[1] for name in ("api", "admin") for each in listeners.of(asked, name)] == ports
    assert listeners.chosen() == [
        f"{name}: listens on 127.0.0.1:{port}, a free port"
        for name, port in zip(("api", "admin", "admin"), ports, strict=True)
    ]
    assert listeners.chosen() == []


@pytest.mark.parametrize(("one", "other"), [(":{}", "0.0.0.0:{}"), ("LocalHost:{}", "127.0.0.1:{}")])
def test_another_spelling_is_the_same_socket(listeners, free_port, one, other):
    before, after = wanted(one.format(free_port)), wanted(other.format(free_port))
    listeners.bind([before])
    listener = only(listeners, before)
    listeners.bind([after])
    listeners.keep([after])
    assert only(listeners, after) is listener
    assert answers(("127.0.0.1", free_port))


@pytest.mark.parametrize(
    ("one", "other"),
    [("127.0.0.1:{}", ":{}"), ("0.0.0.0:{}", "127.0.0.1:{}"), ("0.0.0.0:{}", "localhost:{}")],
)
def test_a_change_that_our_own_socket_forbids_says_so(listeners, free_port, one, other):
    before, after = wanted(one.format(free_port)), wanted(other.format(free_port))
    listeners.bind([before])
    host = one.partition(":")[0]
    with pytest.raises(ConfigError) as refused:
        listeners.bind([after])
    assert str(refused.value) == (
        f"listen = {after.address} (shop.conf:3): the launcher itself listens on {host}:{free_port}; "
        "this change takes a restart, a reload cannot make it"
    )
    assert only(listeners, before)


def test_ipv4_and_ipv6_share_a_port(listeners, free_port):
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    both = [wanted(f"0.0.0.0:{free_port}"), wanted(f"[::]:{free_port}")]
    listeners.bind(both)
    assert [each.family for each in listeners.of(both, "api")] == [socket.AF_INET, socket.AF_INET6]
    assert answers(("127.0.0.1", free_port))
    assert answers(("::1", free_port), socket.AF_INET6)


def test_every_address_in_use_is_told_and_nothing_stays_bound(listeners, tmp_path):
    free = f"unix:{tmp_path}/free"
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        taken = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, two)]
        with pytest.raises(ConfigError) as refused:
            listeners.bind([wanted(free), *map(wanted, taken)])
    first, second = str(refused.value).splitlines()
    assert first.startswith(f"listen = {taken[0]} (shop.conf:3): the address is in use")
    assert second.startswith(f"listen = {taken[1]} (shop.conf:3): the address is in use")
    assert not (tmp_path / "free").exists()
    listeners.bind([wanted(free)])


def test_a_failure_leaves_what_was_bound_before(listeners, tmp_path):
    listen = wanted(ANY_PORT)
    listeners.bind([listen])
    with pytest.raises(ConfigError):
        listeners.bind([listen, wanted(f"unix:{tmp_path}/missing/http")])
    assert answers(only(listeners, listen).getsockname())


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:8080", "this machine does not have that address"),
        ("unix:/nonexistent/http", "no such file or directory"),
    ],
)
def test_what_the_kernel_refuses_is_explained(listeners, address, reason):
    with pytest.raises(ConfigError, match=reason):
        listeners.bind([wanted(address)])


# Unix sockets


def test_a_unix_socket_is_removed_when_it_is_closed(listeners, tmp_path):
    path = str(tmp_path / "http")
    listeners.bind([wanted(f"unix:{path}")])
    assert answers(path, socket.AF_UNIX)
    listeners.close()
    assert not os.path.lexists(path)


def test_a_stale_unix_socket_is_replaced(listeners, tmp_path):
    path = str(tmp_path / "http")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    listeners.bind([wanted(f"unix:{path}")])
    assert answers(path, socket.AF_UNIX)


def test_a_unix_socket_that_somebody_listens_on_is_not_stolen(listeners, tmp_path):
    path = str(tmp_path / "http")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(ConfigError, match="the address is in use"):
            listeners.bind([wanted(f"unix:{path}")])
        assert answers(path, socket.AF_UNIX)


def test_a_listener_that_accepts_nobody_is_not_waited_for(listeners, tmp_path):
    path = str(tmp_path / "http")
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as queued:
        other.bind(path)
        other.listen(0)
        queued.connect(path)
        with pytest.raises(ConfigError, match="the address is in use"):
            listeners.bind([wanted(f"unix:{path}")])


def test_a_file_that_is_no_socket_is_not_removed(listeners, tmp_path):
    (tmp_path / "http").write_text("precious")
    with pytest.raises(ConfigError, match=r"the path exists and is no socket; remove it, or choose another$"):
        listeners.bind([wanted(f"unix:{tmp_path}/http")])
    assert (tmp_path / "http").read_text() == "precious"


def test_a_folder_is_no_socket(listeners, tmp_path):
    with pytest.raises(ConfigError, match="the path exists and is no socket"):
        listeners.bind([wanted(f"unix:{tmp_path}")])


# Letting go


def test_what_is_not_kept_is_closed(listeners):
    api, admin = wanted(ANY_PORT), wanted("127.0.0.1:00", "admin")
    listeners.bind([api, admin])
    address = only(listeners, admin).getsockname()
    listeners.keep([api])
    assert answers(only(listeners, api).getsockname())
    assert not answers(address)


def test_a_child_closes_what_is_not_its_own_and_removes_nothing(listeners, tmp_path):
    api, admin = wanted(f"unix:{tmp_path}/api"), wanted(f"unix:{tmp_path}/admin", "admin")
    listeners.bind([api, admin])
    mine, other = only(listeners, api), only(listeners, admin)
    pid = os.fork()
    if pid == 0:
        listeners.close_in_child([mine])
        os._exit((mine.fileno() == -1) + 2 * (other.fileno() != -1))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert answers(f"{tmp_path}/api", socket.AF_UNIX)
    assert answers(f"{tmp_path}/admin", socket.AF_UNIX)
