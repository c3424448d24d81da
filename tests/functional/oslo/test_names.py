"""Every public name of oslo.service's modules is in ours, and is called in the same way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MODULES = (
    *("eventlet_backdoor", "fixture", "loopingcall", "opts", "periodic_task", "service", "sslutils", "systemd"),
    *("threadgroup", "wsgi", "backend.base", "backend.exceptions"),
)

LOOK = """
import inspect, json, sys
from importlib import import_module

package, *modules = sys.argv[1:]
originals = ("oslo_service", "launcher")


def shape(call):
    parameters = list(inspect.signature(call).parameters.values())
    return [[str(each.kind) if "VAR" in str(each.kind) else each.name, repr(each.default)] for each in parameters]


def calls(module):
    for name, value in vars(module).items():
        at_home = callable(value) and getattr(value, "__module__", "").startswith(originals)
        if not at_home or name.startswith("_") or name == "get_component":
            continue
        if not inspect.isclass(value):
            yield name, shape(value)
            continue
        yield name, shape(value.__init__)
        for method in dir(value):
            if not method.startswith("_") and inspect.isfunction(getattr(value, method)):
                yield f"{name}.{method}", shape(getattr(value, method))


found = {module: calls(import_module(f"{package}.{module}")) for module in modules}
print(json.dumps({f"{module}.{name}": shape for module in modules for name, shape in found[module]}))
"""

# What theirs needs for itself.
OURS_HAS_NONE = {
    "service.ProcessLauncher.handle_signal": "installs its handlers; ours are there from the beginning",
    "service.ServiceLauncher.handle_signal": "the same",
}

START_METHOD = "as on their native threads, too"
# Ours is called in every way in which theirs is, by whoever calls it.
WIDER = {
    "periodic_task.InvalidPeriodicTaskArg": "theirs cannot be made with the argument that they give it",
    "service.ProcessLauncher": START_METHOD,
    "service.ServiceLauncher": START_METHOD,
    "service.ServiceWrapper": "only the launchers make one",
    "service.SignalHandler": "theirs has a metaclass that takes anything",
    "service.launch": START_METHOD,
    "threadgroup.Thread": "the group need not be given, as on their native threads",
    "threadgroup.ThreadGroup": "the argument has another name on each of their backends",
    "threadgroup.ThreadGroup.cancel": "keywords by name",
}


def look(package: str) -> dict[str, list[list[str]]]:
    command = [sys.executable, "-W", "ignore", "-c", LOOK, package, *MODULES]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


@pytest.fixture(scope="module")
def theirs():
    return look("oslo_service")


@pytest.fixture(scope="module")
def ours():
    return look("launcher.oslo")


def test_every_public_name_is_there(theirs, ours):
    assert len(theirs) > 30
    assert set(theirs) - set(ours) == set(OURS_HAS_NONE)


def test_signatures(theirs, ours):
    different = {name: (theirs[name], ours[name]) for name in theirs.keys() & ours if theirs[name] != ours[name]}
    assert {name: different[name] for name in different.keys() - WIDER} == {}
    assert set(WIDER) == set(different)
