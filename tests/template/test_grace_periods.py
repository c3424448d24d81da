"""Whoever stops the containers waits longer than a stop can take, drain included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from launcher import config
from launcher.cli.check import grace_period
from tests.template.rendering import KINDS, render

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SERVICES = [kind for kind in KINDS if kind != "full"]
DRAIN = "OS_LAUNCHER__DRAIN_DELAY"


def needed(project: Path, service: str, environment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> float:
    """Return what `launcher check` says of a service with its files and its environment."""
    monkeypatch.setenv(DRAIN, str(environment.get(DRAIN, 0)))
    files = [project / "config" / f"{name}.conf" for name in (project.name, service)]
    conf = config.load([f"--config-file={file}" for file in files])
    return grace_period(config.settings(conf, ()).policy)


def test_compose_and_swarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = render(tmp_path, kind="full", swarm=True)
    for file in ("compose.yaml", "deploy/swarm.yaml"):
        services = yaml.safe_load((project / file).read_text())["services"]
        for name in SERVICES:
            given = int(services[name]["stop_grace_period"].removesuffix("s"))
            assert given > needed(project, name, services[name].get("environment", {}), monkeypatch), (file, name)


def test_kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = render(tmp_path, kind="full", kubernetes=True)
    drains = []
    for name in SERVICES:
        deployment, *_ = yaml.safe_load_all((project / "deploy" / "kubernetes" / f"{name}.yaml").read_text())
        pod = deployment["spec"]["template"]["spec"]
        environment = {each["name"]: each["value"] for each in pod["containers"][0].get("env", [])}
        drains.append(DRAIN in environment)
        assert pod["terminationGracePeriodSeconds"] > needed(project, name, environment, monkeypatch), name
    assert drains == [name == "api" for name in SERVICES]  # who has clients waits until they know
