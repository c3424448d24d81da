"""The scoreboard, between a process that writes and one that reads."""

from __future__ import annotations

import os

import pytest

from launcher.supervisor import scoreboard
from launcher.supervisor.scoreboard import SEATS, Scoreboard


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(scoreboard, "monotonic", lambda: clock[0])

    def move(seconds: float) -> None:
        clock[0] += seconds

    return move


@pytest.fixture
def board():
    return Scoreboard()


@pytest.fixture
def seat(board):
    seat = board.seat(7)
    seat.take()
    return seat


def read(board, number=7):
    return board.read(number, os.getpid())


def in_child(call) -> int:
    """Return what `call` returns in a forked process."""
    pid = os.fork()
    if pid == 0:
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_what_a_forked_process_writes_is_seen_here(board):
    def child() -> int:
        seat = board.seat(3)
        seat.take()
        seat.works()
        seat.request_begins()
        os.write(wfd, b"%d" % os.getpid())
        return 0

    rfd, wfd = os.pipe()
    assert in_child(child) == 0
    beat = board.read(3, int(os.read(rfd, 20)))
    assert (beat.at_work, beat.in_flight) == (True, 1)
    for fd in (rfd, wfd):
        os.close(fd)


def test_a_turn_is_told_from_sleep_and_counted(board, seat, now):
    seat.works()
    now(2)
    assert (read(board).at_work, read(board).since, read(board).busy) == (True, 100, 0)
    assert read(board).busy_until(102) == 2
    seat.sleeps()
    now(50)
    assert (read(board).at_work, read(board).since) == (False, 102)
    assert read(board).busy_until(152) == 2
    seat.works()
    now(1)
    seat.works()  # it had a look without sleeping: a turn of its own
    assert (read(board).at_work, read(board).since, read(board).busy) == (True, 153, 3)


def test_who_works_at_several_things_says_so(board, seat):
    assert not read(board).shares
    seat.shares()
    assert read(board).shares


def test_requests_are_counted(board, seat):
    seat.request_begins()
    seat.request_begins()
    seat.request_ends()
    assert (read(board).requests, read(board).in_flight) == (1, 1)


def test_a_seat_that_another_process_has_left_says_nothing(board, seat):
    seat.works()
    assert board.read(7, os.getpid() + 1) is None
    assert board.read(8, os.getpid()) is None


def test_who_takes_a_seat_inherits_nothing(board, seat):
    seat.works()
    seat.request_begins()
    again = board.seat(7)
    again.take()
    assert not read(board).at_work
    assert (read(board).since, read(board).in_flight) == (0, 0)
    again.request_begins()
    assert read(board).in_flight == 1


def test_a_copy_that_has_left_writes_no_more(board, seat):
    seat.works()
    seat.leave()
    seat.sleeps()
    seat.request_begins()
    assert read(board).at_work
    assert read(board).in_flight == 0


def test_neighbours_do_not_touch(board, seat):
    before = read(board)
    for number in (6, 8):
        other = board.seat(number)
        other.take()
        other.works()
        other.request_begins()
    assert read(board) == before


@pytest.mark.parametrize("number", [-1, SEATS])
def test_without_a_seat_nobody_looks(board, number):
    seat = board.seat(number)
    seat.take()
    seat.works()
    assert board.read(number, os.getpid()) is None


def test_the_last_seat_is_there(board):
    board.seat(SEATS - 1).take()
    assert read(board, SEATS - 1) is not None
