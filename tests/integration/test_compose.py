"""The demo in compose.yaml, as the README says to run it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest
from harness import Client, shell, wait_for

ROOT = Path(__file__).parents[2]
SERVICES = {"api", "scheduler"}


class Demo:
    """A compose project of its own, on a port of its own."""

    def __init__(self, project: str) -> None:
        self.port = free_port()
        self._project = project

    def __call__(self, *command: str) -> str:
        environment = {**os.environ, "API_PORT": str(self.port)}
        return shell("docker", "compose", "-p", self._project, *command, cwd=ROOT, env=environment)

    def containers(self) -> dict[str, dict[str, object]]:
        lines = self("ps", "--all", "--format", "json").splitlines()
        return {found["Service"]: found for found in map(json.loads, lines)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def demo(engine, run_id):
    demo = Demo(f"launcher-test-{run_id}")
    try:
        yield demo
    finally:
        demo("down", "--timeout", "1", "--volumes", "--rmi", "local")


@pytest.mark.timeout(300)
def test_up_serves_and_ticks_and_stop_ends_both_with_0(demo):
    assert shutil.which("docker")
    demo("up", "--wait", "--wait-timeout", "60")
    up = demo.containers()
    assert {name: found["Health"] for name, found in up.items()} == dict.fromkeys(SERVICES, "healthy")
    client = Client(demo.port)
    assert client.get().content["service"] == "shop"
    client.close()
    wait_for(lambda: "tick 3" in demo("logs", "scheduler"), "the scheduler's ticks")
    demo("stop")
    assert {name: found["ExitCode"] for name, found in demo.containers().items()} == dict.fromkeys(SERVICES, 0)
