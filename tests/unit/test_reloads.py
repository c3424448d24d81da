"""Who waits for a reload, and what they are told."""

from __future__ import annotations

from launcher.supervisor.reloads import Outcome, Reloads


class Client:
    def __init__(self):
        self.told = []

    def reply(self, reply):
        self.told.append(reply)


def test_everybody_hears_once_of_the_generation_that_they_wait_for():
    reloads = Reloads()
    first, second = Client(), Client()
    reloads.wait(2, first)
    reloads.wait(3, second)
    reloads.ended(2, "refused")
    assert first.told == [{"generation": 2, "error": "refused"}]
    assert (second.told, reloads.last) == ([], Outcome(2, "refused"))
    reloads.ended(3, "")
    assert (second.told, reloads.last) == ([{"ok": True, "generation": 3}], Outcome(3, ""))
    assert len(first.told) == 1


def test_one_that_nobody_waits_for_is_remembered_too():
    reloads = Reloads()
    assert reloads.last is None
    reloads.ended(2, "")
    assert reloads.last == Outcome(2, "")
