"""What the core does in a reload, in named situations; core_story.py says how they are read."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.unit.core_story import (
    ABORT,
    API_AND_TICK,
    ONE_SERVES,
    STARTUP,
    TWO_SERVE,
    play,
)

HISTORIES = {
    "a reload replaces one slot at a time, each when its replacement is ready": [
        *TWO_SERVE,
        (10, "reload", "prepare 2"),
        (11, "load api=2", "spawn api.0 g2"),
        (11, "born 3"),
        (12, "ready 3", "TERM 1", "spawn api.1 g2"),
        (12, "born 4"),
        (12, "exit 1 0"),
        (13, "ready 4", "reloaded 2 ", "TERM 2"),
        (13, "exit 2 0"),
    ],
    "a reload that says more workers adds them, and one that says fewer ends them": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=2", "spawn api.1 g2", "spawn api.0 g2"),
        (10, "born 2"),
        (10, "born 3"),
        (11, "ready 2"),
        (11, "ready 3", "reloaded 2 ", "TERM 1"),
        (11, "exit 1 0"),
        (20, "reload", "prepare 3"),
        (20, "load api=1", "TERM 3", "spawn api.1 g3"),
    ],
    "a service that the new configuration does not have is ended once all that it has are ready": [
        *API_AND_TICK,
        (10, "reload", "prepare 2"),
        (10, "load api=1", "spawn api.0 g2"),
        (10, "born 3"),
        (11, "ready 3", "reloaded 2 ", "TERM 1", "TERM 2"),
    ],
    "a service is renamed: the old one goes on until the new one is ready": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load web=1", "spawn web.0 g2"),
        (10, "born 2"),
        (11, "ready 2", "reloaded 2 ", "TERM 1"),
    ],
    "a service that a reload adds and that fails is not added, and nobody leaves": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load web=1", "spawn web.0 g2"),
        (10, "born 2"),
        (
            11,
            "exit 2 78",
            "reloaded 2 web: worker 2 ended with 78 before it was ready",
            "say error reload failed: *worker 2 ended with 78*it is not added",
        ),
        (20, "exit 1 1", "spawn api.0 g1"),
    ],
    "a refused reload touches nobody": [
        *TWO_SERVE,
        (10, "reload", "prepare 2"),
        (11, "refuse 78 bad value", "reloaded 2 bad value", "say error reload refused: bad value; *"),
        (20, "exit 1 1", "spawn api.0 g1"),
    ],
    "a reload whose worker fails is abandoned": [
        *TWO_SERVE,
        (10, "reload", "prepare 2"),
        (10, "load api=2", "spawn api.0 g2"),
        (10, "born 3"),
        (
            11,
            "exit 3 1",
            "reloaded 2 api: worker 3 ended with 1 before it was ready",
            "say error reload failed: *worker 3 ended with 1*generation 1",
        ),
        (20, "exit 2 1", "spawn api.1 g1"),
    ],
    "what was told to be in force is proven, even where nobody was to show it": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=1", "spawn api.0 g2"),
        (10, "scale api 0", "reloaded 2 ", "TERM 1"),
        (10, "born 2", "TERM 2"),
        (11, "exit 1 0"),
        (11, "exit 2 0"),
        (20, "scale api 1", "spawn api.0 g2"),
        (20, "born 3"),
        (21, "exit 3 1", "spawn api.0 g2"),
    ],
    "a slot that is opened again while a reload is on its way has to get ready for it too": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=1 tick=1", "spawn api.0 g2", "spawn tick.0 g2"),
        (10, "scale api 0", "TERM 1"),
        (10, "scale api 1"),
        (10, "born 2"),
        (10, "born 3"),
        (11, "ready 3"),
        (12, "ready 2", "reloaded 2 "),
    ],
    "a late worker of a reload is its failure before another one is tried": [
        *TWO_SERVE,
        (10, "reload", "prepare 2"),
        (10, "load api=2", "spawn api.0 g2"),
        (10, "born 3"),
        (
            10 + STARTUP,
            "wait",
            "ABRT 3",
            "reloaded 2 api: worker 3 did not get ready in time; *",
            "say error reload failed: *api stays at generation 1",
        ),
        (10 + STARTUP + ABORT, "wait", "KILL 3"),
        (20, "exit 3 -9"),
    ],
    "a worker of a reload that hangs before it is ready is its failure too": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=1", "spawn api.0 g2"),
        (10, "born 2"),
        (12, "hung 2 why", "ABRT 2", "reloaded 2 api: worker 2 hangs: why", "say error reload failed: *"),
    ],
    "a failed reload leaves as many workers as were scaled to before": [
        *ONE_SERVES,
        (5, "scale api 2", "spawn api.1 g1"),
        (5, "born 2"),
        (5, "ready 2"),
        (10, "reload", "prepare 2"),
        (10, "load api=3", "spawn api.2 g2", "spawn api.0 g2"),
        (10, "born 3"),
        (10, "born 4"),
        (11, "exit 3 1", "reloaded 2 *", "say error reload failed: *", "TERM 4"),
    ],
    "one worker of a reload that never gets ready is told, though others do": [
        *TWO_SERVE,
        (10, "reload", "prepare 2"),
        (10, "load api=2", "spawn api.0 g2"),
        (10, "born 3"),
        (10, "ready 3", "TERM 1", "spawn api.1 g2"),
        (10, "born 4"),
        (10, "exit 1 0"),
        (11, "exit 4 1", "spawn api.1 g2"),
        (11, "born 5"),
        (12, "exit 5 1"),
        (12.5, "wait", "spawn api.1 g2"),
        (12.5, "born 6"),
        (12.5, "exit 6 1"),
        (13.5, "wait", "spawn api.1 g2"),
        (13.5, "born 7"),
        (13.5, "exit 7 1", "reloaded 2 crash loop: *"),
    ],
    "a reload whose mold is lost over and over is abandoned": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "mold 100"),
        (10, "load api=1", "spawn api.0 g2"),
        *(
            moment
            for when, pid, wait in ((10, 100, 0), (11, 101, 0.5), (12, 102, 1))
            for moment in (
                (when, f"exit {pid} -9", "say warning *", *(["prepare 2"] if not wait else [])),
                *([(when + wait, "wait", "prepare 2")] if wait else []),
                (when + wait, f"mold {pid + 1}"),
                (when + wait, "load api=1", "spawn api.0 g2"),
            )
        ),
        (14, "exit 103 -9", "reloaded 2 the mold of generation 2 *", "say error reload failed: *"),
    ],
    "a stop overtakes a reload": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (11, "stop", "reloaded 2 stopping", "close", "TERM 1"),
    ],
    "the mold of a generation that only a dropped service knew is let go": [
        *API_AND_TICK,
        (10, "reload", "prepare 2"),
        (10, "mold 100"),
        (10, "load api=1", "spawn api.0 g2"),
        (10, "born 3"),
        (11, "ready 3", "reloaded 2 ", "TERM 1", "TERM 2"),
        (11, "exit 1 0"),
        (11, "exit 2 0"),
        (20, "reload", "prepare 3"),
        (20, "load api=1", "spawn api.0 g3"),
        (20, "born 4"),
        (21, "ready 4", "reloaded 3 ", "TERM 3", "TERM 100"),
    ],
    "the turn passes over a slot that a second reload has scaled away": [
        (0, "begin", "prepare 1"),
        (0, "load api=3", "spawn api.0 g1", "spawn api.1 g1", "spawn api.2 g1"),
        (0, "born 1"),
        (0, "born 2"),
        (0, "born 3"),
        (0, "ready 1"),
        (0, "ready 2"),
        (0, "ready 3"),
        (10, "reload", "prepare 2"),
        (10, "load api=3", "spawn api.0 g2"),
        (10, "reload", "prepare 3"),
        (10, "load api=2", "reloaded 2 superseded *", "TERM 3"),
        (10, "born 4", "TERM 4", "spawn api.0 g3"),
        (10, "born 5"),
        (11, "ready 5", "TERM 1", "spawn api.1 g3"),
        (11, "born 6"),
        (12, "ready 6", "reloaded 3 ", "TERM 2"),
    ],
    "asked again during a reload, the newest counts": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "reload", "reloaded 2 superseded *", "prepare 3"),
        (11, "load api=1", "spawn api.0 g3"),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history):
    play(history)


def test_the_times_of_every_history_move_on():
    for history in HISTORIES.values():
        assert all(before <= after for (before, *_), (after, *_) in pairwise(history))
