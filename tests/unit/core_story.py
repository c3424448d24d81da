"""Plays histories against a core.

A history is a list of moments: a time, what happens then, and all that the core does about it.  Whatever
it does at another time than the next moment's is an error, so the times are exact.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase

from launcher.supervisor.core import Core
from launcher.supervisor.settings import Policy, ServiceSpec
from launcher.supervisor.state import (
    CloseListeners,
    Finish,
    Kill,
    Prepare,
    Reloaded,
    Remold,
    RunPreStop,
    Spawn,
    Tell,
)

GRACE, ABORT, DRAIN, STARTUP = 3.0, 0.5, 1.0, 5.0
POLICY = Policy(
    graceful_shutdown_timeout=GRACE,
    abort_timeout=ABORT,
    startup_timeout=STARTUP,
    backoff_min=0.5,
    backoff_max=3.0,
    crash_loop_threshold=4,
    crash_loop_window=6.0,
)

# Two workers that serve, with the PIDs 1 and 2.
TWO_SERVE = [
    (0, "begin", "prepare 1"),
    (0, "load api=2", "spawn api.0 g1", "spawn api.1 g1"),
    (0, "born 1"),
    (0, "born 2"),
    (0, "ready 1"),
    (0, "ready 2"),
]
# One worker, with the PID 1, that does not begin yet.
ONE_STARTS = [(0, "begin", "prepare 1"), (0, "load api=1", "spawn api.0 g1"), (0, "born 1")]
ONE_SERVES = [*ONE_STARTS, (0, "ready 1")]

API_AND_TICK = [
    (0, "begin", "prepare 1"),
    (0, "load api=1 tick=1", "spawn api.0 g1", "spawn tick.0 g1"),
    (0, "born 1"),
    (0, "born 2"),
    (0, "ready 1"),
    (0, "ready 2"),
]


class Story:
    """Plays a history against a core."""

    def __init__(self) -> None:
        self.core = Core(POLICY, lambda: 0.5)
        self.policy = POLICY
        self.now = 0.0
        self.asked: list[Spawn | Remold] = []
        self.prepared = 0

    def tell(self, event: str) -> None:
        word, _, rest = event.partition(" ")
        getattr(self, word.replace("-", "_"))(*rest.split())

    def act(self) -> list[str]:
        done = []
        while (action := self.core.next_action(self.now)) is not None:
            done.append(self.describe(action))
            assert len(done) < 100, done
        return done

    def describe(self, action: object) -> str:
        match action:
            case Prepare(generation):
                self.prepared = generation
                return f"prepare {generation}"
            case Spawn(service, slot, generation):
                self.asked.append(action)
                return f"spawn {service}.{slot} g{generation}"
            case Remold(pid):
                self.asked.append(action)
                return f"remold {pid}"
            case Kill(pid, signum):
                return f"{signum.name[3:]} {pid}"
            case RunPreStop():
                return "pre-stop"
            case CloseListeners():
                return "close"
            case Reloaded(generation, error):
                return f"reloaded {generation} {error}"
            case Tell(level, text):
                return f"say {level} {text}"
            case Finish(code, reason):
                return f"finish {code} {reason}"
        raise AssertionError(action)

    # What a history may say

    def begin(self, *policy: str) -> None:
        changes = (each.split("=") for each in policy)
        self.policy = replace(POLICY, **{name: float(value) for name, value in changes})

    def both(self, *events: str) -> None:
        """Told in one turn; with `_` for the spaces."""
        for event in events:
            self.tell(event.replace("_", " "))

    def wait(self) -> None:
        assert self.core.deadline() == self.now

    def load(self, *services: str) -> None:
        specs = [ServiceSpec(**spec(each)) for each in services]
        self.core.prepared(self.prepared, specs, self.policy, self.now)

    def load_command(self, name: str) -> None:
        specs = [ServiceSpec(name, 1, ready_after=2.0, dumps_stacks=False)]
        self.core.prepared(self.prepared, specs, self.policy, self.now)
        self.core.mold_leaves(self.prepared, self.now)

    def refuse(self, code: str, *reason: str) -> None:
        self.core.prepare_failed(self.prepared, int(code), " ".join(reason), self.now)

    def mold(self, pid: str) -> None:
        self.core.prepare_started(self.prepared, int(pid), self.now)

    def born(self, pid: str) -> None:
        self.core.spawned(self.asked.pop(0).serial, int(pid), self.now)

    def fork_fails(self) -> None:
        self.core.spawn_failed(self.asked.pop(0).serial, "not now", self.now)

    def put_off(self) -> None:
        self.core.remold_put_off(self.asked.pop(0).serial, self.now)

    def ready(self, pid: str) -> None:
        self.core.ready(int(pid), self.now)

    def exit(self, pid: str, status: str, *cause: str) -> None:
        self.core.exited(int(pid), int(status), self.now, " ".join(cause))

    def hung(self, pid: str, *why: str) -> None:
        self.core.hung(int(pid), " ".join(why), self.now)

    def retire(self, pid: str, *why: str) -> None:
        self.core.retire(int(pid), " ".join(why), self.now)

    def pre_stop_ended(self) -> None:
        self.core.pre_stop_ended(self.now)

    def reload(self) -> None:
        self.core.reload()

    def scale(self, name: str, target: str) -> None:
        self.core.scale(name, int(target))

    def stop(self) -> None:
        self.core.stop(self.now)

    def stop_at_once(self) -> None:
        self.core.stop_at_once(self.now)


def spec(text):
    """Read `NAME=WORKERS[..MOST][:RESTART][@READY_AFTER][~REMOLD_AFTER]`."""
    name, workers, most, restart, ready_after, remold_after = re.fullmatch(
        r"(\w+)=(\d+)(?:\.\.(\d+))?(?::([\w-]+))?(?:@(\d+))?(?:~(\d+))?", text
    ).groups()
    return {
        "name": name,
        "workers": int(workers),
        "most": most and int(most),
        "restart": restart or "always",
        "ready_after": ready_after and float(ready_after),
        "remold_after": remold_after and float(remold_after),
    }


def play(history):
    """Check that a core does in each moment of a history what it says; return the story."""
    story = Story()
    for when, event, *expected in history:
        if when > story.now:
            assert story.core.deadline() >= when, (
                f"something is due at {story.core.deadline()}, before {event!r} at {when}"
            )
        story.now = when
        story.tell(event)
        done = story.act()
        assert len(done) == len(expected), f"at {when}, {event}: {done}"
        for one, pattern in zip(done, expected, strict=True):
            assert fnmatchcase(one, pattern), f"at {when}, {event}: {done}"
    return story
