"""What commands write, on real pipes, through a loop of a few lines."""

from __future__ import annotations

import fcntl
import json
import os
import select

import pytest

from launcher.supervisor.log import Log
from launcher.supervisor.relay import ORPHANED_MAX, Origin, Relay, Sink
from launcher.supervisor.stderr import PIPE_BUF
from tests.steps import steps

ORIGIN = Origin("web", 1, 77, "stdout")
PIPE_SIZE = 65536


class Loop:
    """Level-triggered, as the supervisor's."""

    def __init__(self):
        self.calls = {}
        self.epoll = select.epoll()

    def watch(self, fd, call, events=select.EPOLLIN):
        self.calls[fd] = call
        self.epoll.register(fd, events)

    def unwatch(self, fd):
        del self.calls[fd]
        self.epoll.unregister(fd)

    def turn(self):
        """Do what is due; return whether there was anything."""
        ready = self.epoll.poll(0)
        for fd, _ in ready:
            self.calls.get(fd, lambda: None)()
        return bool(ready)

    def settle(self):
        while self.turn():
            pass


class Relayed:
    """A relay whose stdout is a pipe that we read, or not."""

    def __init__(self, style="console"):
        self.loop = Loop()
        self.reader, self.out = os.pipe()
        os.set_blocking(self.reader, False)
        self.sink = Sink(self.out)
        self.relay = Relay(self.loop, Log("info", style).relayed, {"stdout": self.sink})

    def stream(self, origin=ORIGIN):
        """Return the end that a command writes to."""
        fd, write_fd = os.pipe()
        self.relay.take(fd, origin)
        os.set_blocking(write_fd, False)
        return write_fd

    def read(self):
        try:
            return os.read(self.reader, 1 << 20)
        except BlockingIOError:
            return b""

    def read_all(self):
        """Return everything that comes until there is nothing to do."""
        data = []
        while True:
            self.loop.settle()
            data.append(self.read())
            if not data[-1]:
                return b"".join(data)

    def clog(self):
        """Let nobody read what we pass on."""
        os.set_blocking(self.out, False)
        assert fill(self.out, b"x" * PIPE_BUF) == PIPE_SIZE

    def unclog(self):
        while self.read():
            pass


@pytest.fixture
def relayed():
    return Relayed()


def fill(fd, data):
    """Write until the pipe takes no more; return how much it took."""
    taken = 0
    try:
        while taken < 10 * PIPE_SIZE:
            taken += os.write(fd, data)
    except BlockingIOError:
        return taken
    return taken


def test_each_line_has_its_origin(relayed):
    fd = relayed.stream()
    os.write(fd, b"one\n\ntwo \xff\r\nthr")
    assert relayed.read_all() == b"web[1] | one\nweb[1] | \nweb[1] | two \xff\r\n"
    os.write(fd, b"ee\n")
    assert relayed.read_all() == b"web[1] | three\n"


def test_json():
    relayed = Relayed("json")
    os.write(relayed.stream(), b'say "\xff"\n')
    line = json.loads(relayed.read_all())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "process": 77,
        "logger": "web",
        "slot": 1,
        "stream": "stdout",
        "message": 'say "\\xff"',
    }


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["line end", "none"])
def test_a_long_line_is_cut_between_characters(style, end):
    relayed = Relayed(style)
    fd = relayed.stream()
    text = "aé€😀" * 3000
    whole, rest = b"", text.encode() + end
    while rest:
        rest = rest[os.write(fd, rest[:20000]) :]
        whole += relayed.read_all()
    os.close(fd)
    whole += relayed.read_all()
    lines = whole.decode().splitlines()
    assert all(len(line.encode()) < PIPE_BUF for line in lines)
    parts = [json.loads(line)["message"] if style == "json" else line.removeprefix("web[1] | ") for line in lines]
    assert "".join(parts) == text
    assert len(lines) < 60


def test_the_last_line_needs_no_end(relayed):
    fd = relayed.stream()
    os.write(fd, b"one\ntwo")
    os.close(fd)
    assert relayed.read_all() == b"web[1] | one\nweb[1] | two\n"
    assert not relayed.loop.calls


def test_what_is_left_comes_before_the_end_is_told(relayed):
    fd = relayed.stream()
    taken = fill(fd, b"0123456\n")
    os.close(fd)
    fcntl.fcntl(relayed.out, fcntl.F_SETPIPE_SZ, 1 << 20)
    assert relayed.relay.ended(77) == 0
    assert relayed.read().count(b"\n") == taken // 8
    assert not relayed.loop.calls


def test_who_was_left_behind_may_write_on(relayed):
    fd = relayed.stream()
    os.write(fd, b"half")
    relayed.relay.ended(77)
    assert relayed.read() == b"web[1] | half\n"
    os.write(fd, b"later\n")
    assert relayed.read_all() == b"web[1] | later\n"


def test_a_reader_that_hangs_makes_the_writer_wait_and_nothing_grow(relayed):
    relayed.clog()
    fd, other = relayed.stream(), relayed.stream(Origin("job", 0, 78, "stdout"))
    total = 0
    for _ in range(50):
        total += fill(fd, b"0123456\n")
        relayed.loop.settle()
    assert total <= PIPE_SIZE + 16384
    assert sum(map(len, relayed.sink.blocks)) < 20 * 8192
    assert not relayed.loop.turn()  # no busy loop
    os.write(other, b"me too\n")
    assert not relayed.loop.turn()  # nobody that leads there is read
    relayed.unclog()
    whole = relayed.read_all().splitlines()
    assert whole.count(b"web[1] | 0123456") == total // 8
    assert whole.count(b"job[0] | me too") == 1
    fill(fd, b"goes on\n")
    assert b"web[1] | goes on\n" in relayed.read_all()


def test_the_dead_wait_for_a_reader_that_hangs_but_not_too_many(relayed):
    relayed.clog()
    more = 5
    for pid in range(1, ORPHANED_MAX + more + 1):
        fd = relayed.stream(Origin("job", 0, pid, "stdout"))
        os.write(fd, b"%d\n" % pid)
        os.close(fd)
        relayed.loop.settle()
        dropped = relayed.relay.ended(pid)
    assert dropped == 1
    relayed.unclog()
    assert relayed.read_all().splitlines()[-1] == b"job[0] | %d" % (ORPHANED_MAX + more)
    assert not relayed.loop.calls


def test_a_reader_that_is_gone_takes_everything(relayed):
    os.close(relayed.reader)
    fd = relayed.stream()
    for _ in range(20):
        fill(fd, b"0123456\n")
        relayed.loop.settle()
    assert not relayed.sink.blocks
    os.close(fd)
    relayed.loop.settle()
    assert not relayed.loop.calls


def test_the_end_takes_what_is_left_but_waits_for_nobody(relayed):
    fd = relayed.stream()
    os.write(fd, b"one\ntwo")
    relayed.relay.finish()
    assert relayed.read() == b"web[1] | one\nweb[1] | two\n"
    relayed.clog()
    relayed = Relayed()
    relayed.clog()
    fd = relayed.stream()
    os.write(fd, b"lost\n")
    relayed.relay.finish(patience=0.05)


def test_an_end_costs_no_look_at_the_others(relayed):
    def end():
        os.close(relayed.stream(Origin("web", 1, 1_000_000, "stdout")))
        return steps(lambda: relayed.relay.ended(1_000_000))

    alone = end()
    for pid in range(100):
        relayed.stream(Origin("web", 1, pid, "stdout"))
    assert end() == alone


def test_a_command_that_has_closed_its_streams_ends_as_well(relayed):
    os.close(relayed.stream())
    relayed.loop.settle()
    other = relayed.stream(Origin("web", 1, 78, "stdout"))  # it may have the descriptor's number
    os.write(other, b"so far")
    assert relayed.relay.ended(ORIGIN.pid) == 0
    assert relayed.read_all() == b""
    assert relayed.relay.ended(78) == 0
    assert relayed.read_all() == b"web[1] | so far\n"
