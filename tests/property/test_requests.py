"""Whatever a client sends, PID 1 has a reply for it, and does only what was asked for properly."""

from __future__ import annotations

import json
from types import SimpleNamespace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.supervisor.core import Core
from launcher.supervisor.orders import Orders
from launcher.supervisor.reloads import Reloads
from launcher.supervisor.requests import WORKERS_MAX, Requests
from launcher.supervisor.scoreboard import Scoreboard
from launcher.supervisor.settings import Policy, ServiceSpec
from launcher.supervisor.status import Status

MOLD = 100
COMMANDS = ("live", "ready", "status", "scale", "reload", "stop")
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
nearly_proper = st.fixed_dictionaries(
    {
        "command": st.sampled_from(COMMANDS),
        "service": st.sampled_from(["web", "web", "wbe", ["web"], None]),
        "workers": st.integers(-1, 4) | st.booleans() | anything,
    },
    optional={"wait": st.booleans() | anything},
)
requests = nearly_proper | st.dictionaries(st.sampled_from(["command", "service", "workers"]) | st.text(), anything)


SCOREBOARD = Scoreboard()


def served() -> tuple[Core, Requests]:
    core = Core(Policy())
    core.next_action(0)
    core.prepare_started(1, MOLD, 0)
    core.prepared(1, (ServiceSpec("web", 2),), Policy(), 0)
    log = SimpleNamespace(say=lambda *_: None)
    generations = SimpleNamespace(current=SimpleNamespace(reset_on_hup=False))
    reloads = Reloads()
    status = Status(core, reloads, SCOREBOARD)
    return core, Requests(core, Orders(core, log, generations, status, lambda: None), reloads, status)


def is_proper(request: dict) -> bool:
    name, workers = request.get("service"), request.get("workers")
    return name == "web" and type(workers) is int and 0 <= workers <= WORKERS_MAX


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=st.lists(requests, max_size=6))
def test_any_request_has_a_reply_and_only_a_proper_one_an_effect(asked: list[dict]) -> None:
    core, handler = served()
    for request in asked:
        stopping, target, newest = core.stopping, core.services["web"].target, core.state.newest
        command = str(request.get("command"))
        reply = handler.answer(request, SimpleNamespace())
        assert reply is None or ("error" in reply) != ("ok" in reply)
        json.dumps(reply)
        if stopping and command in {"scale", "reload"}:
            assert reply == {"error": "it is stopping"}
        if reply is None:
            assert (command, request["wait"]) == ("reload", True)
        scales = command == "scale" and is_proper(request) and not stopping
        assert core.services["web"].target == (request["workers"] if scales else target)
        assert core.stopping == (stopping or command == "stop")
        assert core.state.newest == newest + (command == "reload" and not stopping)
