"""Projects made from the template: built, tested with their own tests, started, loaded and stopped in containers.

Docker is spoken to as their users do it, by `make` and `docker compose`; the broker is Debian's, no registry is asked.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.integration.harness import Client, shell, wait_for
from tests.integration.test_compose import free_port
from tests.template.rendering import KINDS, ROOT, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

NAME, SLUG, MODULE = "Shop in Test", "shop-in-test", "shop_in_test"
BACKENDS = {"api": "eventlet", "worker": "eventlet", "scheduler": "threading", "full": "threading"}
OF_OUR_MAKE = {"MAKEFLAGS", "MAKELEVEL", "ARGS"}  # nothing to the project's
MESSAGES = 1000
KILLS = 6  # before the stack is stopped, and again after it

pytestmark = pytest.mark.timeout(600)


class Project:
    """A project in a folder of its own, with images, containers and a port of its own."""

    def __init__(self, kind: str, folder: Path, run_id: str, redis_image: str) -> None:
        self.folder = folder / SLUG
        self.answers = [f"kind={kind}", f"backend={BACKENDS[kind]}", "swarm=yes"]
        self.services = KINDS[:3] if kind == "full" else [kind]
        self.image = f"{SLUG}-{kind}:{run_id}"
        self.port = free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in OF_OUR_MAKE},
            "IMAGE": self.image,
            "LAUNCHER_IMAGE": "launcher:latest",
            "LAUNCHER_DEV_IMAGE": "launcher-dev:latest",
            "REDIS_IMAGE": redis_image,
            "PORT": str(self.port),
            "COMPOSE_PROJECT_NAME": f"{SLUG}-{kind}-{run_id}",
        }

    def render(self) -> None:
        done = program(self.folder.parent.parent, f"project_name={NAME}", *self.answers)
        assert done.returncode == 0, done.stdout + done.stderr
        self.environment["VENV"] = str(ROOT / ".venv")  # instead of one of its own, which takes a while

    def shell(self, *command: str, **options: Any) -> str:
        return shell(*command, **{"cwd": self.folder, "env": self.environment, "patience": 300, **options})

    def compose(self, *arguments: str, **options: Any) -> str:
        return self.shell("docker", "compose", *arguments, **options)

    def containers(self) -> dict[str, dict[str, Any]]:
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {found["Service"]: found for found in map(json.loads, lines)}

    @contextmanager
    def up(self, *command: str, **options: Any) -> Iterator[str]:
        """Have everything run meanwhile, and what the command said; the log is shown if the test fails."""
        try:
            yield self.shell(*(command or ("make", "up")), **options)
        finally:
            print(self.compose("logs", "--no-color", "--tail", "200"))  # noqa: T201
            self.compose("down", "--volumes", "--timeout", "1")

    def stop(self) -> None:
        """Stop everything; fail the test unless all of it ends with 0."""
        self.compose("stop")
        codes = {service: found["ExitCode"] for service, found in self.containers().items()}
        assert codes == dict.fromkeys(codes, 0)


@pytest.fixture(scope="module")
def redis_image(run_id: str, engine: DockerClient) -> Iterator[str]:
    tag = f"launcher-test-redis:{run_id}"
    shell(str(ROOT / "tools" / "build"), tag, "--file", "tests/integration/broker/Dockerfile")
    yield tag
    engine.images.remove(tag, force=True)


@pytest.fixture
def make_project(tmp_path: Path, run_id: str, redis_image: str, engine: DockerClient) -> Iterator[Any]:
    made: list[Project] = []

    def make(kind: str) -> Project:
        made.append(Project(kind, tmp_path / "out", run_id, redis_image))
        return made[-1]

    yield make
    for project in made:
        if engine.images.list(project.image):
            engine.images.remove(project.image, force=True)
        shutil.rmtree(project.folder)


@pytest.mark.parametrize("kind", ["api", "worker", "full"])
def test_it_is_built_passes_its_own_tests_starts_and_stops_with_0(make_project: Any, kind: str) -> None:
    project = make_project(kind)
    project.render()
    all_passed(project.shell("make", "integration"))
    with project.up():
        assert {*project.containers()} == {*project.services, *(["redis"] if kind != "api" else [])}
        project.compose("exec", project.services[0], "launcher", "healthcheck")
        if kind != "worker":
            client = Client(project.port)
            assert client.get().content["service"] == SLUG
            client.close()
        project.stop()
    project.shell("docker", "stack", "config", "--compose-file", "deploy/swarm.yaml")


def test_make_new_renders_builds_tests_and_starts_one(make_project: Any) -> None:
    project = make_project("scheduler")
    into, answers = project.folder.parent, " ".join(project.answers)
    arguments = (f"NAME={NAME}", f"INTO={into}", f"ARGS={answers}")
    with project.up("make", "new", *arguments, cwd=ROOT) as said:
        all_passed(said)
        assert re.search(r"scheduler +Up .*\(healthy\)", said)
        assert [path.name for path in into.iterdir()] == [SLUG]
        project.stop()


def all_passed(output: str) -> None:
    assert re.search(r"\d passed", output)
    assert not re.search(r"skipped|xfailed", output)


def test_its_unit_tests_pass_in_its_image(make_project: Any) -> None:
    project = make_project("full")
    project.render()
    images = [f"--build-arg={name}_IMAGE" for name in ("LAUNCHER", "LAUNCHER_DEV")]
    ca = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    project.shell(
        "docker", "build", "--target", "test", "--tag", project.image, "--secret", f"id=ca,src={ca}", *images, "."
    )
    assert re.search(r"\d passed", project.shell("docker", "run", "--rm", project.image))


class Queue:
    """The queue of a worker project that is up."""

    def __init__(self, project: Project) -> None:
        self._project = project
        secret = (project.folder / "secrets" / "redis.conf").read_text()
        self._password = secret.split()[1]

    def send(self, bodies: list[str]) -> None:
        sender = ("exec", "-T", "worker", "python3", "-m", f"{MODULE}.send")
        assert self._project.compose(*sender, input="\n".join(bodies) + "\n") == f"{len(bodies)} sent\n"

    def redis(self, *command: str) -> str:
        client = ("redis-cli", "--no-auth-warning", "-a", self._password)
        return self._project.compose("exec", "-T", "redis", *client, *command)

    def length(self, stream: str = SLUG) -> int:
        return int(self.redis("XLEN", stream))

    def handled(self) -> list[str]:
        return re.findall(r"handled (message-\d+)", self._project.compose("logs", "--no-color", "worker"))


def kill_some(project: Project, seed: int) -> None:
    """SIGKILL workers at random, whether they are at work or not."""
    choice = random.Random(seed)
    for _ in range(KILLS):
        wait_for(lambda: kill_one(project, choice), "a worker to kill")


def kill_one(project: Project, choice: random.Random) -> bool:
    status = json.loads(project.compose("exec", "-T", "worker", "launcher", "status", "--json"))
    pids = [worker["pid"] for worker in status["workers"] if worker["stage"] == "ready"]
    if pids:
        project.compose("exec", "-T", "worker", "sh", "-c", f"kill -KILL {choice.choice(pids)}")
    return bool(pids)


def test_a_thousand_messages_survive_kills_at_random_and_a_stop_of_the_stack(make_project: Any) -> None:
    project = make_project("worker")
    project.render()
    (project.folder / "compose.override.yaml").write_text(f"""
services:
  worker:
    environment:
      OS_LAUNCHER__WORKERS: 3
      OS_LAUNCHER__POST_FORK: slow:install
      OS_{MODULE.upper()}__CLAIM_AFTER: 1
    volumes: ["./tests/integration/app:/app:ro"]
""")
    bodies = [f"message-{number}" for number in range(MESSAGES)]
    with project.up():
        queue = Queue(project)
        queue.send(bodies[: MESSAGES // 2])
        kill_some(project, seed=1)
        queue.send(bodies[MESSAGES // 2 :])
        project.stop()
        assert queue_was_interrupted(queue)
        project.compose("up", "--wait")
        kill_some(project, seed=2)
        wait_for(lambda: queue.length() == 0, "an empty queue")
        handled = queue.handled()
        assert set(handled) == set(bodies)
        assert queue.length(f"{SLUG}:failed") == 0
        print(f"{MESSAGES} messages, {2 * KILLS} kills, one stop: {len(handled) - MESSAGES} handled twice")  # noqa: T201
        project.stop()


def queue_was_interrupted(queue: Queue) -> bool:
    return len(set(queue.handled())) < MESSAGES


def test_redis_is_not_healthy_while_it_loads(make_project: Any) -> None:
    project = make_project("worker")
    project.render()
    project.shell("make", "secrets")
    service = yaml.safe_load((project.folder / "compose.yaml").read_text())["services"]["redis"]
    slow = [*service["command"], "--enable-debug-command", "local"]
    override = {"services": {"redis": {"command": slow}}}
    (project.folder / "compose.override.yaml").write_text(yaml.safe_dump(override))
    check = service["healthcheck"]["test"][1].replace("$$", "$")
    with project.up("docker", "compose", "up", "--wait", "redis"):
        queue = Queue(project)
        queue.redis("EVAL", "for i = 1, 400 do redis.call('SET', i, string.rep('x', 4096)) end", "0")
        queue.redis("CONFIG", "SET", "key-load-delay", "50000", "loading-process-events-interval-bytes", "1024")
        reload = ThreadPoolExecutor(1).submit(queue.redis, "DEBUG", "RELOAD")  # 20 s
        wait_for(lambda: "LOADING" in queue.redis("PING"), "a Redis that loads")
        said = project.compose("exec", "-T", "redis", "sh", "-c", f"if {check}; then echo healthy; else echo not; fi")
        assert said == "not\n"
        reload.result()
        project.compose("exec", "-T", "redis", "sh", "-c", check)
