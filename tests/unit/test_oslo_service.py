"""What of `launcher.oslo.service` needs no other process; beside it: the wheel, tests/functional/oslo."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = """
import pickle
from oslo_config import cfg
from launcher import oslo
oslo.install()
from oslo_service import backend
backend.init_backend(backend.BackendType.{})
from oslo_service import service
conf = cfg.ConfigOpts()
conf([], default_config_files=[])

def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error as refusal:
        return str(refusal)
    raise AssertionError
"""
on_both = pytest.mark.parametrize("kind", ["EVENTLET", "THREADING"])


def works(kind: str, code: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", BEGIN.format(kind) + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@on_both
def test_a_service_can_be_pickled_and_has_a_new_group(kind):
    works(
        kind,
        """
original = service.Service(threads=500)
original.colour = "red"
again = pickle.loads(pickle.dumps(original))
assert again.colour == "red" and again.tg.thread_pool_size == 500 and again.tg is not original.tg
""",
    )


@on_both
def test_the_options_are_registered_by_each_launcher(kind):
    works(
        kind,
        """
for launcher in (service.Launcher, service.ServiceLauncher, service.ProcessLauncher):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[])
    launcher(conf)
    assert (conf.graceful_shutdown_timeout, conf.log_options) == (60, True)
""",
    )


def test_a_library_may_have_registered_them_with_another_help():
    works(
        "EVENTLET",
        """
conf.register_opt(cfg.IntOpt("graceful_shutdown_timeout", default=7, help="another"))
assert service.ServiceLauncher(conf)._patience == 7
""",
    )


@on_both
def test_what_makes_no_sense_is_refused(kind):
    said = works(
        kind,
        """
assert "restart_method" in refused(ValueError, service.Services, "respawn")
assert "restart_method" in refused(ValueError, service.Launcher, conf, "respawn")
assert "forkserver" in refused(ValueError, service.ProcessLauncher, conf, start_method="forkserver")
assert "ServiceBase" in refused(TypeError, service.Launcher(conf).launch_service, object())
assert "2" in refused(ValueError, service.Launcher(conf).launch_service, service.Service(), workers=2)
import logging
logging.basicConfig()
service.ProcessLauncher(conf, start_method="spawn")
""",
    )
    assert "workers are forked all the same" in said


def test_no_fork_is_this_process_on_native_threads_and_nothing_on_eventlet():
    for kind, expected in (("THREADING", "ServiceLauncher"), ("EVENTLET", "ProcessLauncher")):
        works(
            kind,
            f"""
running = service.launch(conf, service.Service(), workers=2, no_fork=True)
assert type(running).__name__ == "{expected}"
running.stop()
""",
        )
