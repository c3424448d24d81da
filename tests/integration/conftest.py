"""Real containers through the Docker SDK: an engine and launcher:latest are expected, and nothing is skipped.

Every container carries the label of this test run, so whatever a test leaves behind is found and removed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import docker
import pytest

from tests.integration.harness import BASE_IMAGE, DEV_IMAGE, Box

HERE = Path(__file__).parent

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from docker import DockerClient

LABEL = "launcher.test-run"
BOXES = pytest.StashKey[list[Box]]()
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": ""},
}


class RunContainer(Protocol):
    """Starts `launcher run ARGUMENTS` in a container; `options` are the SDK's and win over the defaults."""

    def __call__(self, *arguments: str, wait: bool = True, **options: Any) -> Box: ...


@pytest.fixture(scope="session")
def run_id() -> str:
    return f"{os.getpid()}-{uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def engine(run_id: str) -> Iterator[DockerClient]:
    client = connect()
    try:
        yield client
    finally:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}={run_id}"}):
            container.remove(force=True, v=True)
        client.close()


def connect() -> DockerClient:
    try:
        client = docker.from_env(timeout=100)
        client.ping()
        for image in (BASE_IMAGE, DEV_IMAGE):
            client.images.get(image)
    except docker.errors.ImageNotFound as error:
        pytest.exit(f"integration tests need the images: `make image` builds them ({error.explanation})", returncode=1)
    except docker.errors.DockerException as error:
        pytest.exit(f"integration tests need a Docker Engine: `make engine` starts one ({error})", returncode=1)
    return client


@pytest.fixture(scope="session")
def app_image(engine: DockerClient, run_id: str) -> Iterator[str]:
    tag = f"launcher-test-app:{run_id}"
    built = subprocess.run(["docker", "build", "--tag", tag, HERE / "app"], capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.exit(f"the test application's image cannot be built:\n{built.stderr}", returncode=1)
    yield tag
    engine.images.remove(tag, force=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """What the workers run on; parametrized by `both_backends`."""
    return getattr(request, "param", "eventlet")


@pytest.fixture
def run_container(engine: DockerClient, app_image: str, run_id: str, backend: str, request) -> Iterator[RunContainer]:
    chosen = {"OS_LAUNCHER__BACKEND": backend} if backend != "eventlet" else {}
    boxes = request.node.stash.setdefault(BOXES, [])

    def run(*arguments: str, wait: bool = True, **options: Any) -> Box:
        defaults = {
            "image": app_image,
            "command": ["run", *arguments],
            "ports": {"8080/tcp": ("127.0.0.1", None)},
            "labels": {LABEL: run_id},
            **HARDENED,
        }
        environment = {**chosen, **options.pop("environment", {})}
        box = Box(engine.containers.create(**{**defaults, **options, "environment": environment}))
        boxes.append(box)
        box.container.start()
        if wait:
            box.await_healthy()
        return box

    yield run
    for box in boxes:
        box.container.remove(force=True, v=True)


@pytest.fixture
def termination_log(tmp_path):
    """Have a file that any user of a container may write, as Kubernetes makes it."""
    path = tmp_path / "termination-log"
    path.touch()
    path.chmod(0o666)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the log and exit code of each container of a failed test."""
    report = yield
    if report.failed and call.when != "teardown":
        report.sections += [box.describe() for box in item.stash.get(BOXES, [])]
    return report
