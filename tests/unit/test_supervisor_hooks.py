"""What the supervisor does about hooks: asks, remembers, and never waits for what cannot come."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from launcher.supervisor.hooks import HookCall, Hooks


@dataclass
class Desk:
    """Everybody a `Hooks` talks to."""

    refuses: str = ""
    said: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    over: int = 0

    def __post_init__(self):
        self.hooks = Hooks(self, self.ask, self.end)

    def say(self, level, text):
        self.said.append(f"{level} {text}")

    def ask(self, call):
        if self.refuses:
            raise BrokenPipeError(self.refuses)
        self.asked.append(call)
        return 3

    def end(self):
        self.over += 1


def test_a_request_that_fails_while_it_is_made_is_over():
    desk = Desk()
    desk.hooks = Hooks(desk, lambda call: desk.hooks.failed(call.serial, "no buffer space available") or 3, desk.end)
    desk.hooks.pre_stop(4.0)
    desk.hooks.mold_ended(3)
    assert (desk.over, desk.said) == (
        1,
        ["warning hook pre_stop was not run: cannot fork: no buffer space available"],
    )


def test_a_hook_is_asked_for_with_a_serial_number_of_its_own():
    desk = Desk()
    desk.hooks.pre_stop(4.0)
    desk.hooks.worker_exit({"pid": 7})
    assert desk.asked == [HookCall(-1, "pre_stop", 4.0, {}), HookCall(-2, "worker_exit", 5.0, {"pid": 7})]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "debug hook pre_stop: process 9 ended: exit code 0"),
        (1, "warning hook pre_stop: process 9 ended: exit code 1"),
        (-14, "warning hook pre_stop: process 9 ended: killed by ALRM"),
    ],
)
def test_the_end_of_the_process_is_the_end_of_the_hook(status, said):
    desk = Desk()
    desk.hooks.pre_stop(4.0)
    desk.hooks.born(-1, 9)
    assert not desk.hooks.ended(8, 0)
    assert desk.over == 0
    assert desk.hooks.ended(9, status)
    assert not desk.hooks.ended(9, status), "the number may be another's by now"
    assert (desk.over, desk.said) == (1, [said])


def test_what_cannot_be_run_is_told_and_over():
    desk = Desk(refuses="no mold is loaded")
    desk.hooks.pre_stop(4.0)
    desk.hooks.worker_exit({})
    told = [
        "warning hook pre_stop was not run: no mold is loaded",
        "warning hook worker_exit was not run: no mold is loaded",
    ]
    assert (desk.over, desk.said) == (1, told)


def test_what_cannot_be_forked_is_told_and_over():
    desk = Desk()
    desk.hooks.pre_stop(4.0)
    desk.hooks.failed(-1, "not enough memory")
    desk.hooks.failed(-1, "not enough memory")
    assert (desk.over, desk.said) == (1, ["warning hook pre_stop was not run: cannot fork: not enough memory"])


def test_what_a_mold_was_asked_for_goes_with_it():
    desk = Desk()
    desk.hooks.worker_exit({})
    desk.hooks.pre_stop(4.0)
    desk.hooks.born(-1, 9)
    desk.hooks.mold_ended(2)
    assert desk.said == []
    desk.hooks.mold_ended(3)
    assert (desk.over, desk.said) == (1, ["warning hook pre_stop was not run: its mold is gone"])
    desk.hooks.born(-2, 10)
    assert not desk.hooks.ended(10, 0)
    assert desk.hooks.ended(9, 0), "what had begun goes on"
