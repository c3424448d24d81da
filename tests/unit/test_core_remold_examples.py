"""Histories of a worker whose copy becomes the mold, and of all that may come between.

core_story.py says how they are read.  The first mold is 100, the worker 1, its copy 200.
"""

from __future__ import annotations

import pytest

from tests.unit.core_story import ABORT, GRACE, STARTUP, play

WARM = [
    (0, "begin", "prepare 1"),
    (0, "mold 100"),
    (0, "load api=1~10", "spawn api.0 g1"),
    (0, "born 1"),
    (1, "ready 1"),
    (11, "wait", "remold 1"),
]
COPIED = [*WARM, (11, "born 200"), (12, "ready 200", "say info *a copy of worker 1 is its mold now, 200")]
TOLD = "say warning worker 1 cannot become the mold: *; generation 1 keeps the one it has"
LOST = "say warning the mold of generation 1 ended with 137; loading it again"
HISTORIES = {
    "once a generation": [
        *COPIED,
        (12, "exit 100 0"),
        (20, "exit 1 1", "spawn api.0 g1"),
        (20, "born 2"),
        (20, "ready 2"),
        (90, "reload", "prepare 2"),
        (90, "mold 300"),
        (90, "load api=1~10", "spawn api.0 g2"),
        (90, "born 3"),
        (90, "ready 3", "reloaded 2 ", "TERM 2", "TERM 200"),
        (91, "exit 2 0"),
        (91, "exit 200 0"),
        (100, "wait", "remold 3"),
    ],
    "only the first worker of a service is copied": [
        *WARM[:2],
        (0, "load api=2~10", "spawn api.0 g1", "spawn api.1 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (0, "ready 2"),
        (4, "ready 1"),
        (14, "wait", "remold 1"),
    ],
    "the old mold goes on when the worker cannot be copied": [
        *WARM,
        (12, "fork_fails", TOLD),
        (20, "exit 1 1", "spawn api.0 g1"),
        (20, "born 2"),
        (20, "ready 2"),
        (99, "stop", "close", "TERM 100", "TERM 2"),
    ],
    "a worker that is at work is asked again": [
        *WARM,
        (12, "put_off"),
        (22, "wait", "remold 1"),
        (22, "born 200"),
    ],
    "a worker that does not answer is not waited for": [
        *WARM,
        (11 + STARTUP, "wait", TOLD),
        (30, "exit 1 1", "spawn api.0 g1"),
    ],
    "a copy that comes too late is not wanted": [
        *WARM,
        (12, "exit 1 -9", "spawn api.0 g1"),
        (12, "born 200", "TERM 200"),
    ],
    "the next worker is asked when one dies before it answers": [
        *WARM,
        (12, "exit 1 -9", "spawn api.0 g1"),
    ],
    "the old mold goes on when its successor dies": [
        *WARM,
        (11, "born 200"),
        (
            12,
            "exit 200 -9",
            "say warning a copy of worker 1 ended with 137 before it was the mold; the old one goes on",
        ),
        (30, "exit 1 1", "spawn api.0 g1"),
    ],
    "a successor that does not get ready is killed": [
        *WARM,
        (11, "born 200"),
        (11 + STARTUP, "wait", "ABRT 200"),
        (11 + STARTUP + ABORT, "wait", "KILL 200"),
        (20, "exit 200 -9", "say warning *; the old one goes on"),
    ],
    "a copy that starts takes the place of a mold that dies": [
        *WARM,
        (11, "born 200"),
        (12, "exit 100 -9", LOST),
        (12, "exit 1 -9"),
        (13, "ready 200", "say info *a copy of worker 1 is its mold now, 200", "spawn api.0 g1"),
    ],
    "the application is loaded again when both molds die": [
        *WARM,
        (11, "born 200"),
        (12, "exit 100 -9", LOST),
        (12, "exit 200 -9", "say warning the mold ended with 137*; loading it again"),
        (12.5, "wait", "prepare 1"),
    ],
    "a mold that dies while the worker is asked is loaded again, and then the worker is asked": [
        *WARM,
        (12, "exit 100 -9", LOST, "prepare 1"),
        (12, "mold 101"),
        (13, "load api=1~10"),
        (22, "wait", "remold 1"),
    ],
    "what the copy was asked for is not lost with the old mold": [
        *COPIED,
        (13, "exit 1 -9", "spawn api.0 g1"),
        (14, "exit 100 -9"),
        (14, "born 2"),
        (15, "ready 2"),
    ],
    "what the old mold was asked for is lost with it": [
        *WARM,
        (11, "born 200"),
        (11, "exit 1 -9", "spawn api.0 g1"),
        (12, "ready 200", "say info *"),
        (14, "exit 100 -9", "spawn api.0 g1"),
    ],
    "an old mold that does not end is killed": [
        *COPIED,
        (12 + GRACE, "wait", "ABRT 100"),
        (12 + GRACE + ABORT, "wait", "KILL 100"),
        (20, "exit 100 -9"),
        (20, "exit 1 1", "spawn api.0 g1"),
    ],
    "nobody is copied while a reload is under way": [
        *WARM[:5],
        (10, "reload", "prepare 2"),
        (10, "mold 101"),
        (11, "wait"),
        (12, "load api=1~10", "spawn api.0 g2"),
        (12, "born 2"),
        (13, "ready 2", "reloaded 2 ", "TERM 1", "TERM 100"),
    ],
    "nor until all of it is in force": [
        *WARM[:2],
        (0, "load api=1~2 tick=1~2", "spawn api.0 g1", "spawn tick.0 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (1, "born 2"),
        (2, "wait"),
        (3, "ready 2"),
        (4, "wait", "remold 1"),
    ],
    "a stop ends both molds": [
        *WARM,
        (11, "born 200"),
        (12, "stop", "close", "TERM 100", "TERM 200", "TERM 1"),
        (12, "ready 200"),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history):
    play(history)
