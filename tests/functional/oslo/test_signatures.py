"""Names, signatures, options and defaults are those of the oslo.service that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = {
    "service": "_is_daemon _is_sighup_and_daemon launch list_opts Launcher ProcessLauncher Service ServiceBase "
    "ServiceLauncher Services ServiceWrapper SignalExit SignalHandler Singleton",
    "backend": "BackendType get_backend get_backend_type get_component init_backend register_backend_default_hook",
    "backend.base": "BaseBackend ComponentRegistry ServiceBase",
    "backend.exceptions": "BackendAlreadySelected BackendComponentNotAvailable UnsupportedBackendError",
    "opts": "register_service_opts set_service_opts_defaults",
    "threadgroup": "Thread ThreadGroup",
    "loopingcall": "BackOffLoopingCall DynamicLoopingCall FixedIntervalLoopingCall FixedIntervalWithTimeoutLoopingCall "
    "LoopingCallBase LoopingCallDone LoopingCallTimeOut RetryDecorator",
    "periodic_task": "InvalidPeriodicTaskArg PeriodicTasks list_opts periodic_task",
    "systemd": "notify notify_once onready",
    "sslutils": "is_enabled list_opts register_opts wrap",
    "wsgi": "ConfigNotFound InvalidInput Loader PasteAppNotFound Request Router Server list_opts",
    "eventlet_backdoor": "EventletBackdoorConfigValueError initialize_if_enabled",
    "fixture": "SleepFixture",
}
# What is given by another name or in another way, each with the reason.
APART = {
    "service.ServiceWrapper": "made by ProcessLauncher alone, which knows more",
    "threadgroup.Thread": "made by ThreadGroup alone; `thread` is of another kind",
    "threadgroup.ThreadGroup.cancel": "its keywords have their names",
    "threadgroup.ThreadGroup": "one signature for what oslo.service has two of, one a backend",
    "service.ServiceLauncher.handle_signal": "adds its handlers to SignalHandler; ours are apart from those",
    "service.ProcessLauncher.handle_signal": "the same",
    "wsgi.Request.ResponseClass": "WebOb's",
}
SAY = """
import importlib, inspect, json, sys, warnings
warnings.simplefilter("ignore")
modules = json.load(sys.stdin)
said = {}

def parameters(call):
    try:
        found = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    found = [each for each in found if each.name not in {"self", "cls"}]
    return [["" if each.kind.name == "VAR_POSITIONAL" else each.name, repr(each.default)] for each in found]

for module, names in modules.items():
    for name in names.split():
        thing = getattr(importlib.import_module("oslo_service." + module), name)
        said[module + "." + name] = parameters(thing)
        if inspect.isclass(thing):
            for method, value in inspect.getmembers(thing, callable):
                if not method.startswith("_"):
                    said[f"{module}.{name}.{method}"] = parameters(value)
from oslo_service import _options
for group, options in vars(_options).items():
    if group.endswith("_opts"):
        said["options " + group] = [[each.name, type(each).__name__, repr(each.default)] for each in options]
json.dump(said, sys.stdout)
"""


@pytest.fixture(scope="module")
def both():
    def said(before):
        command = [sys.executable, "-c", before + SAY]
        done = subprocess.run(command, cwd=ROOT, input=json.dumps(MODULES), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return said(""), said("from launcher import oslo; oslo.install()\n")


def test_every_public_name_has_its_signature(both):
    theirs, ours = both
    wrong = {}
    for name, parameters in theirs.items():
        if name in APART or parameters is None:
            continue
        # What one of ours takes on top comes after theirs; keywords of any name are taken where they take them.
        if ours.get(name) is None or ours[name][: len(parameters)] != parameters:
            wrong[name] = (parameters, ours.get(name))
    assert not wrong, "\n".join(f"{name}:\n  {one}\n  {other}" for name, (one, other) in wrong.items())


def test_the_options_are_the_same(both):
    theirs, ours = both
    names = [name for name in theirs if name.startswith("options ")]
    assert len(names) == 5
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}
