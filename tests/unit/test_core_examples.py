"""What the core does in named situations: histories, to be read beside the properties in tests/property.

core_story.py says how they are read.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from launcher.supervisor.settings import Policy
from tests.unit.core_story import (
    ABORT,
    DRAIN,
    GRACE,
    ONE_SERVES,
    ONE_STARTS,
    STARTUP,
    TWO_SERVE,
    Story,
    play,
)

HISTORIES = {
    "a command is ready when it has lived for so long, and takes the place of the old one then": [
        (0, "begin", "prepare 1"),
        (0, "load_command job", "spawn job.0 g1"),
        (0, "born 1"),
        (2, "wait"),
        (5, "reload", "prepare 2"),
        (5, "load_command job", "spawn job.0 g2"),
        (5, "born 2"),
        (7, "wait", "TERM 1", "reloaded 2 "),
    ],
    "a command that does not end is killed without ABRT": [
        (0, "begin", "prepare 1"),
        (0, "load_command job", "spawn job.0 g1"),
        (0, "born 1"),
        (2, "wait"),
        (3, "stop", "close", "TERM 1"),
        (6, "wait", "KILL 1"),
        (6, "exit 1 -9", "finish 137 job: worker 1 did not end in time and was killed"),
    ],
    "the mold of commands alone ends, and is not missed": [
        (0, "begin", "prepare 1"),
        (0, "mold 9"),
        (0, "load_command job", "spawn job.0 g1"),
        (0, "born 1"),
        (1, "exit 9 0"),
        (2, "wait"),
        (3, "exit 1 0", "spawn job.0 g1"),
    ],
    "a fork that fails once nobody wants it is no failure": [
        (0, "begin", "prepare 1"),
        (0, "load api=1", "spawn api.0 g1"),
        (1, "stop", "close"),
        (2, "fork_fails", "finish 0 "),
    ],
    "two services start, and stop when told": [
        (0, "begin", "prepare 1"),
        (0, "load api=1 tick=1", "spawn api.0 g1", "spawn tick.0 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (1, "ready 1"),
        (1, "ready 2"),
        (9, "stop", "close", "TERM 1", "TERM 2"),
        (9, "exit 1 0"),
        (9.5, "exit 2 0", "finish 0 "),
    ],
    "an application that cannot be loaded ends it with its code and reason": [
        (0, "begin", "prepare 1"),
        (1, "refuse 78 no such module", "close", "finish 78 no such module"),
    ],
    "a worker that dies is replaced at once": [
        *ONE_SERVES,
        (20, "exit 1 -9", "spawn api.0 g1"),
        (20, "born 2"),
        (20, "ready 2"),
    ],
    "a crash loop backs off, doubling, and gives up with the worker's code and reason": [
        *ONE_STARTS,
        (1, "exit 1 7", "spawn api.0 g1"),
        (1, "born 2"),
        (2, "exit 2 7"),
        (2.5, "wait", "spawn api.0 g1"),
        (2.5, "born 3"),
        (4, "exit 3 7"),
        (5, "wait", "spawn api.0 g1"),
        (5, "born 4"),
        (7, "exit 4 7", "close", "finish 7 crash loop: 4 failures in a row, the last: api: worker 4 ended with 7 *"),
    ],
    "a worker killed over and over ends it with 128 and its signal": [
        *ONE_STARTS,
        (1, "exit 1 -11", "spawn api.0 g1"),
        (1, "born 2"),
        (2, "exit 2 -11"),
        (2.5, "wait", "spawn api.0 g1"),
        (2.5, "born 3"),
        (4, "exit 3 -11"),
        (5, "wait", "spawn api.0 g1"),
        (5, "born 4"),
        (7, "exit 4 -11", "close", "finish 139 crash loop: *ended with 139*"),
    ],
    "workers that end with 0 over and over are a crash loop too, and the code is not 0": [
        *ONE_STARTS,
        (1, "exit 1 0", "spawn api.0 g1"),
        (1, "born 2"),
        (2, "exit 2 0"),
        (2.5, "wait", "spawn api.0 g1"),
        (2.5, "born 3"),
        (4, "exit 3 0"),
        (5, "wait", "spawn api.0 g1"),
        (5, "born 4"),
        (7, "exit 4 0", "close", "finish 70 crash loop: * ended with 0 * restart = api=on-failure*foreground"),
    ],
    "where a worker serves, another one's failures never end it, and its back-off is capped": [
        *TWO_SERVE,
        (10, "exit 2 1", "spawn api.1 g1"),
        (10, "born 3"),
        (13, "exit 3 1"),
        (13.5, "wait", "spawn api.1 g1"),
        (13.5, "born 4"),
        (16, "exit 4 1"),
        (17, "wait", "spawn api.1 g1"),
        (17, "born 5"),
        (20, "exit 5 1"),
        (22, "wait", "spawn api.1 g1"),
        (22, "born 6"),
        (25, "exit 6 1"),
        (28, "wait", "spawn api.1 g1"),
        (28, "born 7"),
        (31, "exit 7 1"),
        (34, "wait", "spawn api.1 g1"),
    ],
    "a worker that was healthy for long begins a new row of failures": [
        *ONE_STARTS,
        (1, "exit 1 7", "spawn api.0 g1"),
        (1, "born 2"),
        (2, "exit 2 7"),
        (2.5, "wait", "spawn api.0 g1"),
        (2.5, "born 3"),
        (3, "ready 3"),
        (9, "exit 3 7", "spawn api.0 g1"),
    ],
    "a worker that ends with 78 before any was ready is not tried again": [
        *ONE_STARTS,
        (1, "exit 1 78", "close", "finish 78 api: worker 1 ended with 78 before it was ready"),
    ],
    "a worker that ends with 78 later is replaced like any other": [
        *ONE_SERVES,
        (20, "exit 1 78", "spawn api.0 g1"),
    ],
    "more forks than workers in as many seconds delay the next one": [
        *TWO_SERVE,
        (0.1, "exit 1 1", "spawn api.0 g1"),
        (0.1, "born 3"),
        (0.2, "ready 3"),
        (0.3, "exit 2 1"),
        (1.3, "wait", "spawn api.1 g1"),
    ],
    "a worker that does not get ready is asked for its stacks, killed and replaced": [
        *ONE_STARTS,
        (STARTUP, "wait", "ABRT 1", "spawn api.0 g1"),
        (STARTUP, "born 2"),
        (STARTUP + ABORT, "wait", "KILL 1"),
        (6, "exit 1 -9"),
        (7, "ready 2"),
    ],
    "a fork that fails is tried again": [
        (0, "begin", "prepare 1"),
        (0, "load api=1", "spawn api.0 g1"),
        (0, "fork-fails", "say warning api: cannot fork: *", "spawn api.0 g1"),
        (1, "fork-fails", "say warning api: cannot fork: *"),
        (1.5, "wait", "spawn api.0 g1"),
        (1.5, "born 1"),
        (2, "ready 1"),
    ],
    "a mold that dies is loaded again, and no worker is touched": [
        (0, "begin", "prepare 1"),
        (0, "mold 100"),
        (1, "load api=1", "spawn api.0 g1"),
        (1, "born 1"),
        (1, "ready 1"),
        (5, "exit 100 -9", "say warning the mold of generation 1 ended with 137; *", "prepare 1"),
        (5, "mold 101"),
        (6, "exit 1 1"),
        (7, "load api=1", "spawn api.0 g1"),
    ],
    "a mold that does not answer is ended": [
        (0, "begin", "prepare 1"),
        (0, "mold 100"),
        (1, "load api=1", "spawn api.0 g1"),
        (1 + STARTUP, "wait", "ABRT 100"),
        (1 + STARTUP + ABORT, "wait", "KILL 100"),
        (7, "exit 100 -9", "say warning the mold *", "prepare 1"),
    ],
    "workers serve on while load balancers catch up": [
        (0, f"begin drain_delay={DRAIN}", "prepare 1"),
        *TWO_SERVE[1:],
        (10, "stop"),
        (10 + DRAIN, "wait", "close", "TERM 1", "TERM 2"),
        (12, "exit 1 0"),
        (12, "exit 2 0", "finish 0 "),
    ],
    "where nobody serves there is nothing to drain": [
        (0, f"begin drain_delay={DRAIN}", "prepare 1"),
        *ONE_STARTS[1:],
        (1, "stop", "close", "TERM 1"),
        (1, "exit 1 -15", "finish 0 "),
    ],
    "a worker that does not end is killed and the code is 137": [
        *TWO_SERVE,
        (10, "stop", "close", "TERM 1", "TERM 2"),
        (10, "exit 1 0"),
        (10 + GRACE, "wait", "ABRT 2"),
        (10 + GRACE + ABORT, "wait", "KILL 2"),
        (14, "exit 2 -9", "finish 137 api: worker 2 did not end in time and was killed"),
    ],
    "a worker that dies of its stack dump was killed too": [
        *ONE_SERVES,
        (10, "stop", "close", "TERM 1"),
        (10 + GRACE, "wait", "ABRT 1"),
        (13.1, "exit 1 -6", "finish 137 api: worker 1 did not end in time *"),
    ],
    "a stop at once has no grace": [
        (0, f"begin drain_delay={DRAIN}", "prepare 1"),
        *TWO_SERVE[1:],
        (10, "stop-at-once", "close", "TERM 1", "KILL 1", "TERM 2", "KILL 2"),
        (10, "exit 1 -9"),
        (10, "exit 2 -9", "finish 137 *"),
    ],
    "a stop at once ends a graceful one": [
        *TWO_SERVE,
        (10, "stop", "close", "TERM 1", "TERM 2"),
        (11, "exit 1 0"),
        (12, "stop-at-once", "KILL 2"),
        (12, "exit 2 -9", "finish 137 *"),
    ],
    "a stop is honoured while a restart is delayed": [
        *ONE_STARTS,
        (1, "exit 1 7", "spawn api.0 g1"),
        (1, "born 2"),
        (2, "exit 2 7"),
        (2.2, "stop", "close", "finish 0 "),
    ],
    "a stop waits for a fork that is on its way": [
        (0, "begin", "prepare 1"),
        (0, "mold 100"),
        (0, "load api=1", "spawn api.0 g1"),
        (1, "stop", "close", "TERM 100"),
        (1, "born 1", "TERM 1"),
        (2, "exit 100 0"),
        (2, "exit 1 -15", "finish 0 "),
    ],
    "a worker that dies during a stop is not replaced, and no failure": [
        *TWO_SERVE,
        (10, "stop", "close", "TERM 1", "TERM 2"),
        (10, "exit 1 1"),
        (10, "exit 2 -11", "finish 0 "),
    ],
    "scaled up and down": [
        *ONE_SERVES,
        (10, "scale api 2", "spawn api.1 g1"),
        (10, "born 2"),
        (10, "ready 2"),
        (20, "scale api 1", "TERM 2"),
        (20, "exit 2 0"),
        (30, "scale api 0", "TERM 1"),
        (30, "exit 1 0"),
        (40, "scale api 1", "spawn api.0 g1"),
    ],
    "the death of a stranger means nothing": [
        *ONE_SERVES,
        (10, "exit 4711 1"),
        (10, "ready 4711"),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history):
    play(history)


def test_the_times_of_every_history_move_on():
    for history in HISTORIES.values():
        assert all(before <= after for (before, *_), (after, *_) in pairwise(history))


def test_without_giving_up_a_crash_loop_is_told_once():
    story = Story()
    story.policy = Policy(crash_loop_threshold=2, backoff_min=0.1, backoff_max=0.1, exit_on_crash_loop=False)
    story.act()
    story.load("api=1")
    told = []
    for pid in range(1, 8):
        told += [line for line in story.act() if line.startswith("say error")]
        story.born(str(pid))
        story.exit(str(pid), "1")
        told += [line for line in story.act() if line.startswith("say error")]
        while not story.asked:
            story.now = story.core.deadline()
            told += [line for line in story.act() if line.startswith("say error")]
    assert len(told) == 1
    assert "crash loop" in told[0]
    assert not story.core.stopping


def test_a_number_of_workers_below_0_is_refused():
    story = Story()
    story.load("api=1")
    with pytest.raises(ValueError, match="-1 workers"):
        story.scale("api", "-1")
    with pytest.raises(KeyError):
        story.scale("nobody", "1")
