"""Forking: what a child starts with, how it ends, and how a mold is asked."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from dataclasses import asdict, replace
from math import inf

import pytest

from launcher.supervisor.settings import Listen, Policy, ServiceSpec, Settings
from launcher.supervisor.spawn import ForkSpawner, Loaded, MoldSpawner, fork
from launcher.supervisor.state import Remold, Spawn

PATIENCE = 10  # seconds
SETTINGS = Settings(
    services=(ServiceSpec("api", 4),),
    listen=(Listen("api", "127.0.0.1:80", "shop.conf:3"),),
    policy=Policy(graceful_shutdown_timeout=inf),
    reset_on_hup=True,
)
SPAWN = Spawn("api", 2, 3, 44, 5)


def nothing(*_):
    pass


def end_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def code_of(child, prologue=nothing):
    return end_of(fork(child, prologue=prologue))


def raising(error):
    def child():
        raise error

    return child


def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


# fork


@pytest.mark.parametrize(("result", "code"), [(0, 0), (7, 7), (255, 255), (256, 0)])
def test_a_child_ends_with_its_result(result, code):
    assert code_of(lambda: result) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SystemExit(7), 7),
        (SystemExit(), 0),
        (SystemExit("no such region"), 1),
        (LookupError("no such region"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_what_a_child_raises_becomes_its_code(error, code):
    assert code_of(raising(error)) == code


def test_what_a_child_raises_is_told(capfd):
    assert code_of(raising(LookupError("no such region"))) == 1
    assert "LookupError: no such region" in capfd.readouterr().err


def test_a_prologue_that_fails_ends_the_child():
    assert code_of(lambda: 0, prologue=raising(LookupError())) == 1


def test_nothing_of_the_callers_stack_is_unwound_in_the_child(tmp_path):
    try:
        pid = fork(raising(SystemExit(3)), prologue=nothing)
        assert end_of(pid) == 3
    finally:
        with (tmp_path / "unwound").open("a") as unwound:
            unwound.write("once ")
    assert (tmp_path / "unwound").read_text() == "once "


def test_what_a_child_prints_is_flushed(python):
    printed = python("""
        import os, sys
        from launcher.supervisor.spawn import fork
        sys.stdout = open(1, "w", buffering=4096, closefd=False)
        os.waitpid(fork(lambda: print("hello") or 0, prologue=lambda: None), 0)
    """)
    assert printed == "hello\n"


def test_signals_are_blocked_until_the_prologue_has_run():
    before = mask()
    blocked = []
    in_child = lambda: int(bool(mask()) or len(blocked[0]) < 60)  # noqa: E731 - runs in the child
    assert code_of(in_child, prologue=lambda: blocked.append(mask())) == 0
    assert mask() == before


def test_a_signal_during_the_prologue_meets_the_childs_own_handler():
    outer = []
    before = signal.signal(signal.SIGUSR1, lambda *_: outer.append(os.getpid()))

    def prologue():
        signal.raise_signal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(5))

    try:
        assert code_of(lambda: len(outer), prologue=prologue) == 5
    finally:
        signal.signal(signal.SIGUSR1, before)


# ForkSpawner


def test_the_forking_program_loads_in_place_and_forks_itself():
    loaded, closed, mutated = [], [], []

    def run(spawn, listeners):
        return 10 * (spawn == SPAWN) + listeners[0] + closed.count((1,))

    spawner = ForkSpawner(run, lambda keep: closed.append(tuple(keep)), loaded.append, lambda: mutated.append(1))
    assert spawner.prepare(3) is None
    assert loaded == [3]
    spawner.mutate()
    assert mutated == [1]
    assert end_of(spawner.spawn(SPAWN, [1])) == 12
    assert closed == []


# MoldSpawner


class Molds:
    """A `MoldSpawner` whose molds do what a test says, and what they told."""

    def __init__(self, mold):
        self.watched, self.told, self.failed, self.pids = {}, [], [], []
        self.epoll = select.epoll()
        self.spawner = MoldSpawner(mold, nothing, self)

    def loaded(self, *told):
        self.told.append(told)

    def spawn_failed(self, *told):
        self.failed.append(told)

    def watch(self, fd, call, events):
        (self.epoll.modify if fd in self.watched else self.epoll.register)(fd, events)
        self.watched[fd] = call

    def unwatch(self, fd):
        self.epoll.unregister(fd)
        del self.watched[fd]

    def prepare(self, generation):
        self.pids.append(self.spawner.prepare(generation))
        return self.pids[-1]

    def turn(self, patience=PATIENCE):
        """Return whether something happened."""
        ready = self.epoll.poll(patience)
        for fd, _ in ready:
            self.watched[fd]()
        return bool(ready)


def echo(generation, channel):
    """A mold that loads at once and tells what it was asked, and who listens on what it was given."""
    channel.send(Loaded(SETTINGS, generation).pack())
    request, fds, _, _ = socket.recv_fds(channel, 4096, 4)
    names = [socket.socket(fileno=fd).getsockname() for fd in fds]
    channel.send(Loaded(reason=f"{request.decode()} {names}").pack())
    return channel.recv(1) != b""


def test_a_mold_tells_what_it_loaded_and_is_asked_for_workers():
    molds = Molds(echo)
    pid = molds.prepare(3)
    molds.turn()
    assert molds.told == [(3, Loaded(SETTINGS, 3))]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        molds.spawner.spawn(SPAWN, [listener])
        molds.turn()
        request = molds.told[1][1].reason
        assert f"[{listener.getsockname()}]" in request
    assert all(f'"{name}": ' in request for name in asdict(SPAWN))
    molds.spawner.forget(3)
    assert end_of(pid) == 0, "it ends when its channel is closed"
    assert molds.watched == {}


def test_a_mold_that_is_gone_cannot_be_asked():
    molds = Molds(lambda *_: 1)
    assert end_of(molds.prepare(1)) == 1
    molds.spawner.hear_all()
    assert molds.watched == {}
    with pytest.raises(BrokenPipeError, match="the mold of generation 1 is gone"):
        molds.spawner.spawn(Spawn("api", 0, 1, 1, 0), [])
    molds.spawner.forget(1)


def test_what_a_mold_said_before_it_died_is_heard():
    def mold(_generation, channel):
        channel.send(Loaded(code=78, reason="no such module").pack())
        return 78

    molds = Molds(mold)
    assert end_of(molds.prepare(1)) == 78
    molds.spawner.hear_all()
    assert molds.told == [(1, Loaded(code=78, reason="no such module"))]
    molds.spawner.forget(1)


def test_what_is_longer_than_a_message_is_heard_as_one():
    long = Loaded(reason="x" * 500_000)

    def mold(_generation, channel):
        for _ in range(2):
            long.tell(channel.send)
        channel.send(long.pack()[:100])
        return 1

    molds = Molds(mold)
    pid = molds.prepare(1)
    while molds.watched:
        molds.turn()
    assert molds.told == [(1, long)] * 2, "what its end cut off is nothing"
    assert end_of(pid) == 1


@pytest.mark.parametrize("said", [b"x\n", b"[]\n", b"{}\n", b"\xff\n", b"[" * 50_000 + b"\n", b"3\n"])
def test_what_a_mold_does_not_mean_is_a_failure_to_load(said):
    def mold(_generation, channel):
        channel.send(said)
        return 1

    molds = Molds(mold)
    pid = molds.prepare(1)
    molds.turn()
    ((generation, loaded),) = molds.told
    assert (generation, loaded.settings, loaded.code) == (1, None, 78)
    assert loaded.reason.startswith("what came from the mold makes no sense: ")
    molds.spawner.forget(1)
    end_of(pid)


def test_a_mold_that_dies_with_requests_unread_is_gone():
    read, write = os.pipe()
    molds = Molds(lambda *_: len(os.read(read, 1)))
    pid = molds.prepare(1)
    molds.spawner.spawn(Spawn("api", 0, 1, 1, 0), [])
    os.write(write, b".")
    assert end_of(pid) == 1
    molds.turn()
    assert molds.watched == {}
    os.close(read)
    os.close(write)


def test_a_second_mold_holds_nothing_of_the_first():
    """Else the first would never see the end of its channel."""
    molds = Molds(lambda _, channel: channel.recv(1) != b"")
    first, second = molds.prepare(1), molds.prepare(2)
    molds.spawner.forget(1)
    assert end_of(first) == 0
    molds.spawner.forget(2)
    assert end_of(second) == 0


def test_a_copy_of_a_worker_is_asked_when_it_takes_over_and_the_old_mold_ends():
    """One process plays them all: what it is asked for by the new channel it tells by the old one."""

    def mold(_generation, channel):
        _, fds, _, _ = socket.recv_fds(channel, 4096, 4)
        request, copy, _, _ = socket.recv_fds(socket.socket(fileno=fds[-1]), 4096, 4)
        channel.send(Loaded(reason=request.decode()).pack())
        while channel.recv(1):
            pass
        return json.loads(socket.socket(fileno=copy[0]).recv(4096))["serial"]

    molds = Molds(mold)
    pid = molds.prepare(3)
    molds.spawner.spawn(replace(SPAWN, seasons=True), [])
    with pytest.raises(BrokenPipeError):
        molds.spawner.remold(Remold(4711, 6, 3, 45))
    molds.spawner.remold(Remold(4711, 5, 3, 45))
    molds.turn()
    assert json.loads(molds.told[0][1].reason) == asdict(Remold(4711, 5, 3, 45))
    molds.spawner.hand_over(3)
    molds.spawner.spawn(replace(SPAWN, serial=46), [])
    assert end_of(pid) == 46
    molds.spawner.worker_ended(5)
    molds.spawner.forget(3)
    assert molds.watched == {}


MANY = 1000  # far more than a channel has room for


def slow(read, told):
    """A mold that looks at its requests when it is let, and says at the end which they were."""

    def mold(_generation, channel):
        os.read(read, 1)
        serials = []
        while len(serials) < MANY:
            request, fds, _, _ = socket.recv_fds(channel, 4096, 4)
            serials += [json.loads(request)["serial"]] * len(fds)
            for fd in fds:
                os.close(fd)
        os.write(told, json.dumps(serials).encode())
        return channel.recv(1) != b""

    return mold


@pytest.fixture
def gate():
    """What a mold waits for, and where it tells something."""
    pipes = *os.pipe(), *os.pipe()
    yield pipes
    for fd in pipes:
        os.close(fd)


def test_more_workers_than_the_channel_has_room_for_are_asked_for_in_order(gate):
    read, write, told, tell = gate
    molds = Molds(slow(read, tell))
    pid = molds.prepare(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for serial in range(MANY):
            molds.spawner.spawn(Spawn("api", serial, 1, serial, serial), [listener])
        assert not molds.turn(0), "nothing wakes the supervisor while the mold does nothing"
        os.write(write, b".")
        while not select.select([told], [], [], 0)[0]:
            molds.turn(0.1)
    assert json.loads(os.read(told, 65536)) == [*range(MANY)]
    assert not molds.turn(0), "nor when all is sent"
    assert molds.failed == []
    molds.spawner.forget(1)
    assert end_of(pid) == 0


def test_a_request_whose_socket_is_closed_before_there_is_room_fails_alone(gate):
    read, write, told, tell = gate
    molds = Molds(slow(read, tell))
    pid = molds.prepare(1)
    with socket.create_server(("127.0.0.1", 0)) as kept, socket.create_server(("127.0.0.1", 0)) as closed:
        for serial in range(MANY):
            molds.spawner.spawn(Spawn("api", serial, 1, serial, serial), [kept])
        molds.spawner.spawn(Spawn("api", MANY, 1, MANY, MANY), [closed])
        closed.close()
        os.write(write, b".")
        while not molds.failed:
            molds.turn()
        assert molds.failed == [(MANY, "bad file descriptor")]
        assert json.loads(os.read(told, 65536)) == [*range(MANY)]
    molds.spawner.forget(1)
    assert end_of(pid) == 0


def test_what_waits_for_a_mold_goes_with_it(gate):
    read, write, _, _ = gate
    molds = Molds(lambda *_: len(os.read(read, 1)))
    pid = molds.prepare(1)
    for serial in range(MANY):
        molds.spawner.spawn(Spawn("api", serial, 1, serial, serial), [])
    os.write(write, b".")
    assert end_of(pid) == 1
    molds.turn()
    assert (molds.watched, molds.failed) == ({}, []), "the end of the mold is the answer"


@pytest.mark.parametrize("loaded", [Loaded(SETTINGS), Loaded(code=78, reason="ünknown\nmodule"), Loaded()])
def test_what_is_loaded_survives_the_way(loaded):
    assert Loaded.unpack(loaded.pack()) == loaded
