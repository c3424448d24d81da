"""Host names become numbers before PID 1 hears of them."""

from __future__ import annotations

import json

import pytest

from launcher.errors import ConfigError
from launcher.names import look_up
from launcher.supervisor.settings import Listen, Settings


def settings(*addresses):
    return Settings(services=(), listen=tuple(Listen("api", each, "shop.conf:3") for each in addresses))


def problems(*addresses):
    with pytest.raises(ConfigError) as refused:
        look_up(settings(*addresses))
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        ("localhost:80", "127.0.0.1:80"),
        ("LocalHost:080", "127.0.0.1:80"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        (":80", ":80"),
        ("[::1]:80", "[::1]:80"),
        ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
        ("unix:/run/localhost", "unix:/run/localhost"),
    ],
)
def test_a_name_is_looked_up_and_nothing_else_is_touched(address, bound):
    (listen,) = look_up(settings(address)).listen
    assert (listen.address, listen.to_bind) == (address, bound)


def test_the_number_reaches_pid_1():
    found = look_up(settings("localhost:80"))
    assert Settings.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_every_name_that_nobody_knows_is_told():
    # Names that no resolver has to be asked for.
    one, other = problems("no..host:80", ":81", "x..y:82")
    assert one.startswith("listen = no..host:80 (shop.conf:3): the host name cannot be looked up: ")
    assert one.endswith("; mend it, or use an address")
    assert other.startswith("listen = x..y:82 (shop.conf:3): ")


@pytest.mark.parametrize("other", ["127.0.0.1:80", ":80"])
def test_a_name_of_an_address_that_is_taken_is_told(other):
    assert problems("localhost:80", other) == [
        f"listen = {other} (shop.conf:3): is {other}, which overlaps with localhost:80; keep one of them"
    ]
    assert problems(other, "localhost:80") == [
        f"listen = localhost:80 (shop.conf:3): is 127.0.0.1:80, which overlaps with {other}; keep one of them"
    ]


def test_two_free_ports_at_a_name_are_two():
    assert len(look_up(settings("localhost:0", "127.0.0.1:0")).listen) == 2
