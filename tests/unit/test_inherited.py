"""Sockets that were passed to us: which one is meant, and what makes no sense."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack

import pytest

from launcher.addresses import Address
from launcher.errors import ConfigError
from launcher.supervisor.inherited import Inherited
from launcher.supervisor.settings import DEFAULT, Listen

ME = str(os.getpid())


@pytest.fixture
def make():
    """Make listening sockets of these names, and take them over."""
    with ExitStack() as stack:

        def make(*names, host="127.0.0.1", **how):
            fds = [socket.create_server((host, 0), **how).detach() for _ in names]
            inherited = Inherited(dict(zip(fds, names, strict=True)))
            for each in inherited.sockets.values():
                stack.enter_context(each)
            return inherited, fds

        yield make


def listen(address, source="shop.conf:3"):
    return Listen("web", address, source)


def test_by_number_by_name_and_by_address(make):
    inherited, (one, other) = make("front", "")
    assert inherited.find(listen(f"fd://{other}")) == other
    assert inherited.find(listen("fd://front")) == one
    for fd, each in inherited.sockets.items():
        assert inherited.find(listen(f"127.0.0.1:{each.getsockname()[1]}")) == fd
    assert inherited.find(listen("127.0.0.1:0")) is None
    assert inherited.find(listen("unix:/tmp/web")) is None


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_port_of_all_addresses_of_both_kinds(make):
    for both in (True, False):
        inherited, (fd,) = make("", host="", family=socket.AF_INET6, dualstack_ipv6=both)
        port = inherited.sockets[fd].getsockname()[1]
        assert inherited.find(listen(f"[::]:{port}")) == fd
        assert inherited.find(listen(f":{port}")) == (fd if both else None)


def test_the_default_is_the_only_one(make):
    none, _ = make()
    assert none.find(listen("0.0.0.0:8080", DEFAULT)) is None
    one, (fd,) = make("front")
    assert one.find(listen("0.0.0.0:8080", DEFAULT)) == fd
    two, (first, second) = make("front", "")
    both = rf"descriptor {first} \(front\), descriptor {second} were passed; say which is for web, as in fd://{first}"
    with pytest.raises(ValueError, match=both):
        two.find(listen("0.0.0.0:8080", DEFAULT))


def test_what_is_not_there(make):
    inherited, (one, other) = make("same", "same")
    both = rf"descriptor {one} \(same\), descriptor {other} \(same\)"
    with pytest.raises(ValueError, match=f"no such socket was passed to us by LISTEN_FDS, but {both}"):
        inherited.find(listen("fd://else"))
    with pytest.raises(ValueError, match=f"several sockets have this name: {both}; use a number"):
        inherited.find(listen("fd://same"))
    with pytest.raises(ValueError, match="no such socket was passed to us by LISTEN_FDS, but no sockets"):
        make()[0].find(listen("fd://3"))


def test_what_is_not_used(make):
    inherited, (one, _) = make("front", "back")
    (line,) = inherited.unused([inherited.sockets[one]])
    assert line.endswith("(back): passed to us, but no service listens on it")
    assert inherited.unused(inherited.sockets.values()) == []


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": f"{ME}0"}])
def test_somebody_else_is_meant(environ):
    assert Inherited.of(environ).sockets == {}
    assert environ == {}


@pytest.mark.parametrize(
    ("count", "names", "problem"),
    [
        ("x", "", "LISTEN_FDS = x: must be a number of descriptors, at most 1000"),
        ("-1", "", "LISTEN_FDS = -1: must be"),
        ("1001", "", "LISTEN_FDS = 1001: must be"),
        ("2", "a", "LISTEN_FDNAMES = a: has 1 names for LISTEN_FDS = 2"),
    ],
)
def test_variables_that_make_no_sense(count, names, problem):
    with pytest.raises(ConfigError, match=f"^{problem}"):
        Inherited.of({"LISTEN_PID": ME, "LISTEN_FDS": count, "LISTEN_FDNAMES": names})


@pytest.mark.parametrize("address", ["fd://", "fd://2", "fd://02", "fd://a:b", "fd://a b", "fd://1234567"])
def test_addresses_that_make_no_sense(address):
    with pytest.raises(ValueError, match="after fd:// comes the number of a descriptor that was passed, from 3 on"):
        Address.parse(f"web={address}")


@pytest.mark.parametrize("which", ["3", "10", "65535", "front", "a=b", "3a"])
def test_addresses_that_do(which):
    assert Address.parse(f"web=fd://{which}") == Address(f"fd://{which}", "web", ("fd", which))
    assert Address.parse(f"fd://{which}") == Address(f"fd://{which}", None, ("fd", which))
