"""What the supervisor keeps of each generation, and what looking at it costs."""

from __future__ import annotations

from itertools import count

import pytest

from launcher.supervisor.core import Core
from launcher.supervisor.generations import Generations
from launcher.supervisor.log import Log
from launcher.supervisor.settings import Listen, Policy, ServiceSpec, Settings
from launcher.supervisor.spawn import Loaded
from launcher.supervisor.state import Kill, Prepare, Spawn
from tests.steps import steps

WEB = Listen("web", "127.0.0.1:0", "test")


class Story:
    """Generations whose molds load at once what they are told to, and whose workers obey at once."""

    def __init__(self, *names, listen=()):
        self.core, self.pids = Core(Policy()), count(100)
        self.forgotten = []
        calls = dict.fromkeys(("provide", "in_force"), lambda _: None) | {"forget": self.forgotten.append}
        self.generations = Generations(self.core, Log("error"), initial=Settings(()), **calls)
        self.load(*names, listen=listen)

    def load(self, *names, listen=()):
        """The newest generation has these services."""
        self.act()
        specs = tuple(ServiceSpec(name, 1) for name in names)
        self.generations.loaded(self.core.requested, Loaded(Settings(specs, listen=listen)))
        self.generations.forget_unused()

    def act(self):
        while (action := self.core.next_action(0.0)) is not None:
            match action:
                case Prepare(generation):
                    self.core.prepare_started(generation, next(self.pids), 0.0)
                case Spawn():
                    pid = next(self.pids)
                    self.core.spawned(action.serial, pid, 0.0)
                    self.core.ready(pid, 0.0)
                case Kill(pid):
                    self.core.exited(pid, 0, 0.0)
        self.generations.forget_unused()


def test_a_turn_in_which_nothing_changed_looks_through_no_services():
    few, many = Story("web").generations, Story(*map(str, range(1000))).generations
    assert steps(few.forget_unused) == steps(many.forget_unused)


@pytest.mark.parametrize("kept", [True, False])
def test_a_socket_is_closed_once_its_service_is_gone_and_no_sooner(kept):
    story = Story("web", "job", listen=[WEB])
    (listener,) = story.generations.listeners.of([WEB], "web")
    story.act()
    story.core.reload()
    story.load("job", *(["web"] if kept else []), listen=[WEB] if kept else [])
    assert listener.fileno() >= 0, "the new generation may yet fail"
    story.act()
    assert (listener.fileno() >= 0) == kept
    story.generations.listeners.close()


def test_a_mold_that_could_not_load_is_heard_no_more():
    story = Story("web")
    story.act()
    generation = story.core.reload()
    story.act()
    assert story.forgotten == []
    story.generations.loaded(generation, Loaded(code=78, reason="no"))
    assert story.forgotten == [generation]


def test_a_mold_that_is_to_take_the_place_of_another_is_no_reason_to_forget_its_generation():
    story = Story("web")
    story.generations.loaded(1, Loaded(code=78, reason="no"))
    assert story.forgotten == []
