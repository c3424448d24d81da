"""What files say of each other is true."""

from __future__ import annotations

import re
from pathlib import Path

import launcher
import pytest
import yaml
from launcher import config
from launcher.cli.check import grace_period
from oslo_config import cfg, generator

from {{ cookiecutter.__module }} import options

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
SHARED = CONFIG / "{{ cookiecutter.__slug }}.conf"
SERVICES = {{ cookiecutter.__services.split() | tojson }}


def test_the_launcher_is_the_version_that_this_project_is_for() -> None:
    assert launcher.__version__ == "{{ cookiecutter.__launcher_version }}"
    assert 'dependencies = ["pid1-launcher=={{ cookiecutter.__launcher_version }}"' in (ROOT / "pyproject.toml").read_text()
    assert "ARG LAUNCHER_IMAGE=launcher:{{ cookiecutter.__launcher_version }}\n" in (ROOT / "Dockerfile").read_text()


def test_the_sample_shows_all_options(tmp_path: Path) -> None:
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", options.GROUP], default_config_files=[], default_config_dirs=[])
    with (tmp_path / "sample").open("w") as sample:
        generator.generate(conf, sample)
    assert (tmp_path / "sample").read_text() == SHARED.with_suffix(".conf.sample").read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_compose_waits_longer_than_a_stop_can_take(service: str) -> None:
    conf = config.load(["--config-file", str(SHARED), "--config-file", str(CONFIG / f"{service}.conf")])
    needed = grace_period(config.settings(conf, ()).policy)
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    (given,) = re.findall(r"^(\d+)s$", compose["services"][service]["stop_grace_period"])
    assert int(given) > needed
