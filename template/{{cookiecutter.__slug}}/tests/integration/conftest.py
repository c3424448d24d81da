"""Containers of the image that `make image` has built, and nothing left of them afterwards."""

from __future__ import annotations

import os
import sys
{% if cookiecutter.__worker %}
from pathlib import Path
{% endif %}
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import docker
import pytest

from tests.integration.harness import {{ "PORT, " if cookiecutter.__api }}Box{{ ", wait_for" if cookiecutter.__worker }}

if TYPE_CHECKING:
    from collections.abc import Iterator

{% if cookiecutter.__worker %}
HERE = Path(__file__).parent
{% endif %}
IMAGE = os.environ.get("IMAGE", "{{ cookiecutter.__slug }}:latest")
{% if cookiecutter.__worker %}
REDIS_IMAGE = os.environ.get("REDIS_IMAGE", "redis:8")
{% endif %}
CONFIG = "/etc/{{ cookiecutter.__slug }}"
LABEL = "{{ cookiecutter.__slug }}.test-run"
WORKERS = 3
TOKEN = "of the integration tests"
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": ""},  # noqa: S108 - in the container
}


class Start(Protocol):
    """Starts one of our services in a container, and waits until it is healthy."""

    def __call__(self, service: str, **environment: str) -> Box: ...


@pytest.fixture(scope="session")
def run_id() -> str:
    """Return the label of this run."""
    return uuid4().hex[:12]


@pytest.fixture(scope="session")
def engine(run_id: str) -> Iterator[Any]:
    """Return the engine; what this run has left in it is removed at the end."""
    client = docker.from_env(timeout=120)
    yield client
    for container in client.containers.list(all=True, filters={"label": f"{LABEL}={run_id}"}):
        container.remove(force=True, v=True)
    client.close()


{% if cookiecutter.__worker %}
@pytest.fixture
def network(engine: Any, run_id: str) -> Iterator[Any]:
    """Return a network on which Redis is called `redis`."""
    network = engine.networks.create(f"{{ cookiecutter.__slug }}-{run_id}")
    yield network
    network.remove()


@pytest.fixture
def redis(engine: Any, network: Any, run_id: str) -> Iterator[Box]:
    """Return a Redis of this test's own, that keeps what it has told that it has."""
    command = ["redis-server", "--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"]
    box = Box(engine.containers.create(REDIS_IMAGE, command, labels={LABEL: run_id}))
    network.connect(box.container, aliases=["redis"])
    box.container.start()
    wait_for(lambda: "Ready to accept connections" in box.logs(), "Redis")
    yield box
    box.container.remove(force=True, v=True)


@pytest.fixture
def start(engine: Any, run_id: str, network: Any, redis: Box) -> Iterator[Start]:
    """Start services on the network of that Redis."""
    given = {
        "network": network.name,
        "environment": {"{{ cookiecutter.__variable }}REDIS_URL": "redis://redis:6379/0"},
        "volumes": {str(HERE / "app"): {"bind": "/app", "mode": "ro"}},
    }
    assert redis.container
{% else %}
@pytest.fixture
def start(engine: Any, run_id: str) -> Iterator[Start]:
    """Start services."""
    given: dict[str, Any] = {"environment": {}}
{% endif %}
    boxes: list[Box] = []

    def start(service: str, **environment: str) -> Box:
        command = ["run"]
        for name in ("{{ cookiecutter.__slug }}", service):
            command += ["--config-file", f"{CONFIG}/{name}.conf"]
        options = {**given, "environment": {**given["environment"], **environment}, **HARDENED}
{% if cookiecutter.__api %}
        options["ports"] = {PORT: ("127.0.0.1", None)}
{% endif %}
        box = Box(engine.containers.create(IMAGE, command, labels={LABEL: run_id}, **options))
        boxes.append(box)
        box.container.start()
        box.await_healthy()
        return box

    yield start
    for box in boxes:
        sys.stdout.write(box.logs())  # pytest shows it if the test has failed
        box.container.remove(force=True, v=True)
