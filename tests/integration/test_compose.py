"""The demo in compose.yaml, as the README says to run it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.integration.harness import Client, both_backends, shell, wait_for

ROOT = Path(__file__).parents[2]
SERVICES = {"api", "scheduler"}


class Demo:
    """A compose project of its own, on a port of its own."""

    def __init__(self, project: str, backend: str) -> None:
        self.port = free_port()
        self.project, self.backend = project, backend

    def __call__(self, *command: str) -> str:
        compose = ("docker", "compose", "--file", "compose.yaml", "--project-name", self.project)
        environ = {**os.environ, "API_PORT": str(self.port), "BACKEND": self.backend}
        return shell(*compose, *command, cwd=ROOT, env=environ)

    def has_eventlet(self, service: str) -> bool:
        """Whether a process of a service has loaded what eventlet stands on."""
        return "greenlet" in self("exec", service, "sh", "-c", "cat /proc/[0-9]*/maps")

    def containers(self) -> dict[str, dict[str, object]]:
        lines = self("ps", "--all", "--format", "json").splitlines()
        return {found["Service"]: found for found in map(json.loads, lines)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def demo(engine, run_id, backend):
    demo = Demo(f"launcher-test-{run_id}", backend)
    try:
        yield demo
    finally:
        demo("down", "--timeout", "1", "--volumes")
        for service in SERVICES:  # not `--rmi local`, which takes the base image with it
            engine.images.remove(f"{demo.project}-{service}", force=True)


@both_backends
@pytest.mark.timeout(300)
def test_up_serves_and_ticks_stop_ends_both_with_0_and_down_removes_them(demo):
    demo("up", "--wait", "--wait-timeout", "60")
    up = demo.containers()
    assert {name: found["Health"] for name, found in up.items()} == dict.fromkeys(SERVICES, "healthy")
    client = Client(demo.port)
    assert client.get().content["service"] == "shop"
    client.close()
    wait_for(lambda: "tick 3" in demo("logs", "scheduler"), "the scheduler's ticks")
    for service in SERVICES:
        assert demo.has_eventlet(service) is (demo.backend == "eventlet")
    demo("stop")
    assert {name: found["ExitCode"] for name, found in demo.containers().items()} == dict.fromkeys(SERVICES, 0)
    demo("down")
    assert demo.containers() == {}
