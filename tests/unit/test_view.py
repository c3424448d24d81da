"""What people see of workers: shares of time, and nothing where nothing is said."""

from __future__ import annotations

from launcher.cli import view


def status(*workers: dict[str, object]) -> dict[str, object]:
    return {"services": {"api": {}}, "workers": [{"service": "api", "slot": 0, **worker} for worker in workers]}


def worker(pid: int, age: float, busy: float | None) -> dict[str, object]:
    beat = None if busy is None else {"busy": busy, "last": 3.0, "requests": 7, "in_flight": 1}
    return {"pid": pid, "age": age, "beat": beat, "generation": 1, "stage": "ready", "since": age, "says": ""}


def shares(after: dict[str, object], before: dict[str, object] | None = None) -> dict[int, float | None]:
    return {each["pid"]: each["share"] for each in view.workers(after, before)}


def test_the_share_is_that_of_a_workers_life():
    assert shares(status(worker(1, 10, 2.5), worker(2, 0, 0))) == {1: 0.25, 2: 0}


def test_or_that_since_an_earlier_look():
    before = status(worker(1, 10, 2.5), worker(2, 10, 2.5))
    # The second is another process of the same PID, the third is new.
    now = status(worker(1, 12, 4), worker(2, 1, 0.1), worker(3, 2, 0.5))
    assert shares(now, before) == {1: 0.75, 2: 0.1, 3: 0.25}


def test_it_is_never_more_than_all():
    assert shares(status(worker(1, 12, 4.6)), status(worker(1, 10, 2.5))) == {1: 1}


def test_of_who_says_nothing_nothing_is_shown():
    says, mute = view.rows(view.WORKERS, view.workers(status(worker(1, 10, 2.5), worker(2, 9, None))))
    assert says[-4:] == ["25%", "1", "7", "3 s"]
    assert mute[-4:] == ["-"] * 4
