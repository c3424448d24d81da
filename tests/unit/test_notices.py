"""The pipe that carries news from forked processes."""

from __future__ import annotations

import errno
import os

import pytest

from launcher.supervisor.notices import Born, ForkFailed, NoticePipe, Ready, Spent, announce


@pytest.fixture
def pipe():
    pipe = NoticePipe()
    yield pipe
    pipe.close()


def test_what_is_announced_is_taken_in_order(pipe):
    notices = [Born(1, 4194304), Ready(4194304), ForkFailed(2, errno.EAGAIN), Ready(1), Spent(7), Born(2**31 - 1, 2)]
    for notice in notices:
        announce(pipe.write_fd, notice)
    assert list(pipe.take()) == notices
    assert list(pipe.take()) == []


def test_nothing_is_taken_from_an_empty_pipe(pipe):
    assert list(pipe.take()) == []


def test_many_writers_do_not_mix(pipe):
    writers, each = 4, 500
    for writer in range(writers):
        if os.fork() == 0:
            for number in range(each):
                announce(pipe.write_fd, Born(writer, number))
            os._exit(0)
    taken = []
    while len(taken) < writers * each:
        taken += pipe.take()
    for _ in range(writers):
        os.wait()
    for writer in range(writers):
        assert [notice.pid for notice in taken if notice.serial == writer] == list(range(each))


def test_a_notice_in_two_pieces_is_one(pipe):
    other = NoticePipe()
    announce(other.write_fd, Born(5, 6))
    data = os.read(other.fd, 100)
    other.close()
    os.write(pipe.write_fd, data[:4])
    assert list(pipe.take()) == []
    os.write(pipe.write_fd, data[4:] + data)
    assert list(pipe.take()) == [Born(5, 6)] * 2


@pytest.mark.parametrize("size", range(1, 30))
def test_what_is_no_notice_costs_none(pipe, size):
    os.write(pipe.write_fd, b"x" * size)
    announce(pipe.write_fd, Ready(1))
    assert list(pipe.take()) == [Ready(1)]
    os.write(pipe.write_fd, b"x" * size)
    assert list(pipe.take()) == []
    announce(pipe.write_fd, Ready(2))
    assert list(pipe.take()) == [Ready(2)]


def test_a_supervisor_that_is_gone_is_no_error():
    pipe = NoticePipe()
    os.close(pipe.fd)
    announce(pipe.write_fd, Ready(1))
    os.close(pipe.write_fd)


def test_its_ends_are_not_passed_on_to_programs(pipe):
    assert not os.get_inheritable(pipe.fd)
    assert not os.get_inheritable(pipe.write_fd)
