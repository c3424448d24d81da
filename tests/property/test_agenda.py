"""The agenda against a model that looks through all slots."""

from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from launcher.supervisor.agenda import Agenda
from launcher.supervisor.state import Slot

INDICES = range(5)
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 2.0])


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.agenda = Agenda()
        self.slots = [Slot(None, index) for index in INDICES]
        self.now = 0.0
        self.marked: list[int] = []  # in order
        self.wakes = [inf for _ in INDICES]

    @rule(index=st.sampled_from(INDICES))
    def something_happens(self, index: int) -> None:
        self.agenda.mark(self.slots[index])
        self._mark(index)

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def looks(self) -> None:
        """Whoever looks and has something to do comes back to the same slot."""
        first = self._first()
        assert self.agenda.first(self.now) is first

    @rule(patience=st.sampled_from([0.5, 1.0, 1.5, inf]), others=st.integers(0, 4))
    def settles(self, patience: float, others: int) -> None:
        for _ in range(others + 1):
            if self._first() is None:
                return
            self.wakes[self.marked.pop(0)] = self.now + patience
            self.agenda.settle(self.now + patience)

    def _first(self) -> Slot | None:
        for index in sorted(INDICES, key=self.wakes.__getitem__):
            if self.wakes[index] <= self.now:
                self.wakes[index] = inf
                self._mark(index)
        first = self.agenda.first(self.now)
        if first is None:
            assert self.marked == []
        else:  # of those that came up at the same time either may be the first
            assert first.index in self.marked
            self.marked.remove(first.index)
            self.marked.insert(0, first.index)
        return first

    def _mark(self, index: int) -> None:
        if index not in self.marked:
            self.marked.append(index)

    @invariant()
    def the_marks_agree(self) -> None:
        assert {slot.index for slot in self.slots if slot.marked} == set(self.marked)

    @invariant()
    def those_that_wait_are_counted(self) -> None:
        assert self.agenda._waiting == sum(wake < inf for wake in self.wakes)

    @invariant()
    def the_deadline_is_the_first_wake(self) -> None:
        assert self.agenda.deadline() == min(self.wakes)


Model.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase


def looked_at(agenda: Agenda, slot: Slot, wake: float) -> None:
    agenda.mark(slot)
    assert agenda.first(0.0) is slot
    agenda.settle(wake)


def test_a_time_that_another_one_has_replaced_wakes_nobody():
    agenda, slot = Agenda(), Slot(None, 0)
    looked_at(agenda, slot, 5.0)
    looked_at(agenda, slot, 9.0)
    assert agenda.first(5.0) is None
    assert agenda.first(9.0) is slot


def test_a_time_that_stays_the_same_takes_no_more_room():
    agenda, slot = Agenda(), Slot(None, 0)
    for _ in range(10):
        looked_at(agenda, slot, 5.0)
    assert len(agenda._heap) == 1


def test_times_that_others_have_replaced_are_not_kept_until_they_come():
    agenda, slots = Agenda(), [Slot(None, index) for index in range(3)]
    for time in range(10_000):
        for slot in slots:
            looked_at(agenda, slot, 1e6 + time)
    assert len(agenda._heap) < 100
    assert agenda.deadline() == 1e6 + 9_999
    agenda.first(1e6 + 9_999)
    assert all(slot.marked for slot in slots)
