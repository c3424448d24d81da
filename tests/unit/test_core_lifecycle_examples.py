"""Histories of what is done with workers that serve: retired, hung, too old, scaled, ended for good; and of the stop.

core_story.py says how they are read.
"""

from __future__ import annotations

import pytest

from tests.unit.core_story import ABORT, ONE_SERVES, STARTUP, TWO_SERVE, Story, play

THREE_SERVE = [
    (0, "begin", "prepare 1"),
    (0, "load api=3", "spawn api.0 g1", "spawn api.1 g1", "spawn api.2 g1"),
    *((0, f"born {pid}") for pid in (1, 2, 3)),
    *((0, f"ready {pid}") for pid in (1, 2, 3)),
]
HISTORIES = {
    "a retired worker serves on until a fresh one is ready in its place": [
        *ONE_SERVES,
        (10, "retire 1 served 1000 requests", "spawn api.0 g1"),
        (10, "born 2"),
        (12, "ready 2", "TERM 1"),
        (13, "exit 1 0"),
    ],
    "of workers retired at once one is replaced at a time": [
        *TWO_SERVE,
        (10, "retire 1 why", "spawn api.0 g1"),
        (10, "retire 2 why"),
        (10, "born 3"),
        (12, "ready 3", "TERM 1", "spawn api.1 g1"),
    ],
    "a retired worker serves on while the fresh one fails": [
        *ONE_SERVES,
        (10, "retire 1 why", "spawn api.0 g1"),
        (10, "born 2"),
        (11, "exit 2 1", "spawn api.0 g1"),
        (11, "born 3"),
        (12, "exit 3 1"),
        (12.5, "wait", "spawn api.0 g1"),
        (12.5, "born 4"),
        (13, "ready 4", "TERM 1"),
    ],
    "a worker that does not serve yet, or is gone, cannot be retired": [
        *ONE_SERVES[:-1],
        (1, "retire 1 why"),
        (1, "retire 4711 why"),
        (1, "ready 1"),
    ],
    "nobody is retired while everything stops": [
        (0, "begin drain_delay=5", "prepare 1"),
        *ONE_SERVES[1:],
        (10, "stop"),
        (11, "retire 1 why"),
        (15, "wait", "close", "TERM 1"),
    ],
    "a worker that hangs is asked for its stacks, killed, and replaced": [
        *TWO_SERVE,
        (20, "hung 2 no sign of life for 30 s", "ABRT 2", "spawn api.1 g1"),
        (20, "born 3"),
        (20 + ABORT, "wait", "KILL 2"),
        (20 + ABORT, "exit 2 -9"),
    ],
    "workers that hang over and over are a crash loop": [
        *ONE_SERVES,
        (1, "hung 1 why", "ABRT 1", "spawn api.0 g1"),
        (1, "exit 1 -6"),
        (1, "born 2"),
        (1, "ready 2"),
        (2, "hung 2 why", "ABRT 2"),
        (2, "exit 2 -6"),
        (2.5, "wait", "spawn api.0 g1"),
        (2.5, "born 3"),
        (3, "ready 3"),
        (3, "hung 3 why", "ABRT 3"),
        (3, "exit 3 -6"),
        (4, "wait", "spawn api.0 g1"),
        (4, "born 4"),
        (4, "ready 4"),
        (4, "hung 4 why", "ABRT 4", "close"),
        (4, "exit 4 -6", "finish 134 crash loop: 4 failures in a row, the last: api: worker 4 hangs: why"),
    ],
    "workers of a certain age are replaced, one at a time": [
        (0, "begin max_worker_lifetime=100 limit_jitter=0.2", "prepare 1"),
        *TWO_SERVE[1:],
        (90, "wait", "spawn api.0 g1"),
        (90, "born 3"),
        (91, "ready 3", "TERM 1", "spawn api.1 g1"),
        (91, "born 4"),
        (91, "exit 1 0"),
        (92, "ready 4", "TERM 2"),
        (92, "exit 2 0"),
        (180, "wait", "spawn api.0 g1"),
    ],
    "scaled down, the youngest workers leave; scaled up, the lowest slots are filled": [
        *THREE_SERVE,
        (10, "exit 1 1", "spawn api.0 g1"),
        (10, "born 4"),
        (10, "ready 4"),
        (20, "scale api 2", "TERM 4"),
        (20, "exit 4 0"),
        (30, "scale api 1", "TERM 3"),
        (30, "exit 3 0"),
        (40, "scale api 3", "spawn api.0 g1", "spawn api.2 g1"),
    ],
    "a slot that serves nobody leaves before any that does": [
        *THREE_SERVE,
        (10, "exit 1 1", "spawn api.0 g1"),
        (10, "born 4"),
        (11, "exit 4 1"),
        (11, "exit 2 1", "spawn api.1 g1"),
        (11, "born 5"),
        (11, "ready 5"),
        (11.1, "scale api 2"),
    ],
    "an elastic service keeps its number of workers over a reload, within its bounds": [
        (0, "begin", "prepare 1"),
        (0, "load api=1..4", "spawn api.0 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (10, "scale api 3", "spawn api.1 g1", "spawn api.2 g1"),
        (10, "born 2"),
        (10, "born 3"),
        (10, "ready 2"),
        (10, "ready 3"),
        (20, "reload", "prepare 2"),
        (20, "load api=1..2", "TERM 3", "spawn api.0 g2"),
    ],
    "a job that has ended with 0 is not run again, and its end is the end": [
        (0, "begin", "prepare 1"),
        (0, "load job=1:on-failure", "spawn job.0 g1"),
        (0, "born 1"),
        (1, "exit 1 1", "spawn job.0 g1"),
        (1, "born 2"),
        (4, "exit 2 0", "close", "finish 0 "),
    ],
    "what is never restarted ends the whole with the code of its last failure": [
        (0, "begin", "prepare 1"),
        (0, "load job=2:never", "spawn job.0 g1", "spawn job.1 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (1, "exit 1 3"),
        (4, "exit 2 0", "close", "finish 3 job: worker 1 ended with 3 before it was ready"),
    ],
    "a job that has ended does not end a service that serves": [
        (0, "begin", "prepare 1"),
        (0, "load api=1 job=1:never", "spawn api.0 g1", "spawn job.0 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (1, "ready 1"),
        (2, "exit 2 0"),
        (9, "scale api 0", "TERM 1"),
        (9, "exit 1 0"),
    ],
    "what has ended for good stays so over a reload, unless it is to be restarted always": [
        (0, "begin", "prepare 1"),
        (0, "load api=1 job=1:never", "spawn api.0 g1", "spawn job.0 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (1, "ready 1"),
        (2, "exit 2 0"),
        (10, "reload", "prepare 2"),
        (10, "load api=1 job=1:never", "spawn api.0 g2"),
        (10, "born 3"),
        (11, "ready 3", "reloaded 2 ", "TERM 1"),
        (11, "exit 1 0"),
        (20, "reload", "prepare 3"),
        (20, "load api=1 job=1", "spawn api.0 g3", "spawn job.0 g3"),
    ],
    "a worker that says nothing counts as ready once it has lived for so long": [
        (0, "begin", "prepare 1"),
        (0, "load cmd=1@2", "spawn cmd.0 g1"),
        (0, "born 1"),
        (2, "wait"),
        (STARTUP, "reload", "prepare 2"),
        (STARTUP, "load cmd=1@2", "spawn cmd.0 g2"),
        (6, "born 2"),
        (8, "wait", "TERM 1", "reloaded 2 "),
    ],
    "the workers serve on until the pre_stop hook is over": [
        (0, "begin pre_stop_timeout=9 drain_delay=1", "prepare 1"),
        *ONE_SERVES[1:],
        (10, "stop", "pre-stop"),
        (14, "pre-stop-ended", "close", "TERM 1"),
        (14, "exit 1 0", "finish 0 "),
    ],
    "after a short pre_stop hook they serve on for drain_delay": [
        (0, "begin pre_stop_timeout=9 drain_delay=3", "prepare 1"),
        *ONE_SERVES[1:],
        (10, "stop", "pre-stop"),
        (11, "pre-stop-ended"),
        (13, "wait", "close", "TERM 1"),
    ],
    "a pre_stop hook that hangs is not waited for for ever": [
        (0, "begin pre_stop_timeout=9", "prepare 1"),
        *ONE_SERVES[1:],
        (10, "stop", "pre-stop"),
        (19, "wait", "close", "TERM 1"),
        (20, "pre-stop-ended"),
    ],
    "where there are hooks the mold stays until the last worker has ended": [
        (0, "begin pre_stop_timeout=9 molds_stay=1", "prepare 1"),
        (0, "mold 100"),
        (0, "load api=1", "spawn api.0 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (10, "stop", "pre-stop"),
        (11, "pre-stop-ended", "close", "TERM 1"),
        (12, "exit 1 0", "TERM 100"),
        (12, "exit 100 0", "finish 0 "),
    ],
    "a mold that does not end then is not given the grace of a worker": [
        (0, "begin pre_stop_timeout=9 molds_stay=1 mold_timeout=1", "prepare 1"),
        (0, "mold 100"),
        (0, "load api=1", "spawn api.0 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (10, "stop", "pre-stop"),
        (11, "pre-stop-ended", "close", "TERM 1"),
        (12, "exit 1 0", "TERM 100"),
        (13, "wait", "ABRT 100"),
        (13 + ABORT, "wait", "KILL 100"),
        (14, "exit 100 -9", "finish 0 "),
    ],
    "a stop at once does not wait for the pre_stop hook": [
        (0, "begin pre_stop_timeout=9", "prepare 1"),
        *ONE_SERVES[1:],
        (10, "stop", "pre-stop"),
        (11, "stop-at-once", "close", "TERM 1", "KILL 1"),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history):
    play(history)


def test_a_number_of_workers_counts_as_ready_only_once_it_serves():
    story = play([(0, "begin", "prepare 1"), (0, "load cmd=1@2", "spawn cmd.0 g1"), (0, "born 1")])
    assert story.core.services["cmd"].ready == 0
    story.now = 2.0
    story.act()
    assert story.core.services["cmd"].ready == 1


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("exit 1 -9 killed by the kernel: out of memory", "worker 1 ended with 137 unasked: killed by the kernel: *"),
        ("exit 1 3", "worker 1 ended with 3 unasked"),
        ("hung 1 no sign of life for 30 s", "worker 1 hangs: no sign of life for 30 s"),
        ("retire 1 served 1000 requests", ""),
    ],
)
def test_the_last_end_is_told(event, said):
    story = play([*ONE_SERVES, (20, event, *(["spawn *"] if not event.startswith("hung") else ["ABRT *", "spawn *"]))])
    assert story.core.services["api"].last_end == said.replace("*", "out of memory")


def test_seats_are_small_numbers_that_are_used_again():
    story = Story()
    story.act()
    story.load("api=3")
    story.act()
    assert [spawn.seat for spawn in story.asked] == [0, 1, 2]
    for pid in "123":
        story.born(pid)
        story.ready(pid)
    assert [child.seat for child in story.core.children.values()] == [0, 1, 2]
    story.exit("2", "1")
    story.act()
    assert story.asked[0].seat == 1


def test_a_seat_is_taken_while_a_lost_mold_may_still_have_filled_it():
    story = Story()
    story.act()
    story.mold("100")
    story.load("api=1")
    story.act()
    lost = story.asked.pop()
    story.exit("100", "-9")
    story.act()
    story.load("api=1")
    story.act()
    assert story.asked[0].seat != lost.seat
    story.core.spawned(lost.serial, 7, story.now)
    assert story.core.children[7].seat == lost.seat
