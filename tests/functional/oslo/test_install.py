"""`oslo_service` is ours from `launcher.oslo.install()` on, each case in a Python of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = "import sys\nfrom launcher import oslo\n"


def python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def works(code: str) -> None:
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["oslo_service.opts", "launcher.oslo.opts"])
def test_one_module_under_both_names(first):
    works(f"""
oslo.install()
oslo.install()
import {first}
import oslo_service.opts, launcher.oslo.opts
from oslo_service import opts
assert opts is oslo_service.opts is launcher.oslo.opts is sys.modules["oslo_service.opts"]
assert oslo_service is oslo
assert opts.__spec__.name == opts.__name__ == "launcher.oslo.opts"
assert oslo.__spec__.name == "launcher.oslo"
""")


def test_modules_of_a_subpackage():
    works("""
oslo.install()
from oslo_service.backend.exceptions import BackendAlreadySelected
import launcher.oslo.backend.exceptions as ours
assert BackendAlreadySelected is ours.BackendAlreadySelected
""")


def test_nothing_is_imported_before_it_is_asked_for():
    works("oslo.install(); assert not {'eventlet', 'oslo_config'} & set(sys.modules)")


def test_what_ours_has_not_is_not_taken_from_theirs():
    done = python("oslo.install()\nimport oslo_service.version")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'oslo_service.version'\n")


def test_too_late_is_one_clear_error():
    done = python("import oslo_service\ntry: oslo.install()\nexcept Exception as e: print(e.exit_code, e)")
    assert done.stdout.startswith("78 oslo_service was imported already, from /")
    assert "call launcher.oslo.install() before that" in done.stdout


def test_nothing_of_eventlet_is_imported_where_the_backend_is_threading():
    works("""
oslo.install()
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from oslo_service import loopingcall, periodic_task, service, systemd, threadgroup
assert not [name for name in sys.modules if name.partition(".")[0] in {"eventlet", "greenlet"}]
""")
