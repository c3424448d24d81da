"""Fixtures of the unit tests: configuration without any file."""

from __future__ import annotations

import pytest
from launcher import config
from launcher.worker import backends
from oslo_config import cfg

from {{ cookiecutter.__module }} import options


@pytest.fixture(scope="session", autouse=True)
def _native_threads() -> None:
    """Patch nothing here, whatever the services run on."""
    backends.select("threading")


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    """Return what a service is made with; `conf.set_override` changes an option."""
    conf = cfg.ConfigOpts()
    config.register(conf)
    options.register(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    return conf
