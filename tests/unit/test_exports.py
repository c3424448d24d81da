"""What `import launcher` gives, and what it must not cost."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import launcher

ROOT = Path(launcher.__file__).parents[1]


def output(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import launcher; print(*set(sys.modules) - before)"
    assert output(code) == "launcher"


def test_a_service_can_be_written_without_importing_a_backend():
    code = "import sys; from launcher import Launcher, Service, WSGIService; print('eventlet' in sys.modules)"
    assert output(code) == "False"


@pytest.mark.parametrize("name", sorted(set(launcher.__all__) - {"__version__"}))
def test_every_name_leads_home(name):
    home = import_module(launcher._HOMES[name])
    assert getattr(launcher, name) is getattr(home, name)
    assert name in dir(launcher)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'Arbiter'"):
        launcher.Arbiter  # noqa: B018 - the look-up is the test


def test_every_promised_name_has_a_home():
    assert {*launcher._HOMES, "__version__"} == set(launcher.__all__)
