"""What the simulation found: histories of mistakes that the core made once (tests/property/simulation)."""

from __future__ import annotations

import pytest

from tests.unit.core_story import ABORT, ONE_SERVES, ONE_STARTS, STARTUP, play

HISTORIES = {
    "asked again when a slot has just been replaced, that slot keeps one of the old workers, not two": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=1", "spawn api.0 g2"),
        (10, "born 2"),
        (10, "reload", "prepare 3"),
        (11, "both ready_2 load_api=1", "reloaded 2 ", "TERM 1", "spawn api.0 g3"),
        (11, "born 3"),
        (12, "ready 3", "reloaded 3 ", "TERM 2"),
    ],
    "a slot whose worker dies while it waits for the turn does not keep the turn from the others": [
        (0, "begin", "prepare 1"),
        (0, "load api=3", "spawn api.0 g1", "spawn api.1 g1", "spawn api.2 g1"),
        *((0, f"{what} {pid}") for what in ("born", "ready") for pid in (1, 2, 3)),
        (10, "reload", "prepare 2"),
        (10, "load api=3", "spawn api.0 g2"),
        (10, "born 4"),
        (11, "exit 2 -9", "spawn api.1 g2"),
        (12, "ready 4", "TERM 1", "spawn api.2 g2"),
    ],
    "a stop at once tells even a worker that is late to get ready, before it kills it, and owns up to it": [
        *ONE_STARTS,
        (STARTUP, "stop-at-once", "close", "TERM 1", "KILL 1"),
        (STARTUP, "exit 1 -9", "finish 137 *"),
    ],
    "a mold that has stayed for hooks and owes an answer is not given up in a stop": [
        (0, "begin molds_stay=1", "prepare 1"),
        (0, "mold 100"),
        (0, "load api=2", "spawn api.0 g1", "spawn api.1 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (STARTUP, "stop-at-once", "close", "TERM 1", "KILL 1"),
        (STARTUP, "exit 1 -9", "TERM 100", "KILL 100"),
        (STARTUP, "exit 100 -9", "finish 137 *"),
    ],
    "one that is ready by its time takes the place of its predecessor at that time": [
        *ONE_SERVES,
        (10, "reload", "prepare 2"),
        (10, "load api=1@2", "spawn api.0 g2"),
        (10, "born 2"),
        (12, "wait", "TERM 1", "reloaded 2 "),
    ],
    "a replacement that hangs as soon as it is ready replaces nobody": [
        *ONE_SERVES,
        (10, "retire 1 old", "spawn api.0 g1"),
        (10, "born 2"),
        (11, "both ready_2 hung_2_why", "ABRT 2", "spawn api.0 g1"),
        (11 + ABORT, "wait", "KILL 2"),
    ],
    "a slot is not over while its worker serves, whatever becomes of a replacement": [
        (0, "begin", "prepare 1"),
        (0, "load api=1:never", "spawn api.0 g1"),
        (0, "born 1"),
        (0, "ready 1"),
        (10, "retire 1 old", "spawn api.0 g1"),
        (10, "born 2"),
        (11, "exit 2 1", "spawn api.0 g1"),
        (11, "born 3"),
        (12, "ready 3", "TERM 1"),
    ],
    "a worker of a generation that is past is not ready by the new one's time": [
        (0, "begin", "prepare 1"),
        (0, "load api=1@0", "spawn api.0 g1"),
        (1, "reload", "prepare 2"),
        (1, "load api=1@0"),
        (1, "born 1", "TERM 1", "spawn api.0 g2"),
    ],
    "78 of a new generation is not the end while the one before, just ready, serves": [
        *ONE_STARTS,
        (1, "reload", "prepare 2"),
        (1, "both load_api=1 ready_1", "spawn api.0 g2"),
        (1, "born 2"),
        (2, "exit 2 78", "spawn api.0 g2"),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_history(history):
    play(history)
