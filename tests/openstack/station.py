"""A container in which an OpenStack program is PID 1, and what is measured of it, be it as it should or not."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from requests.exceptions import ConnectionError as NoAnswer
from requests.exceptions import ReadTimeout

from tests.integration.harness import Box, shell

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.openstack.programs import Program

COMMON = "/etc/openstack/common.conf"
STEP = 0.1  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Under:
    """What runs the program: a name for people, and the words in front of its command line."""

    name: str
    words: tuple[str, ...] = ()


OSLO = Under("oslo.service")
LAUNCHER = Under("launcher.oslo", ("python3", "-m", "launcher.oslo"))


@dataclass(frozen=True, slots=True)
class End:
    """How a container ended: seconds after the signal, and with which exit code."""

    seconds: float
    code: int


def build(project: str) -> None:
    """Build the image of a project's programs."""
    shell("tools/build", image(project), "--file", "tests/openstack/Dockerfile", "--build-arg", f"PROJECT={project}")


def image(project: str) -> str:
    return f"launcher-openstack:{project}"


def options(program: Program, under: Under) -> dict[str, Any]:
    """Return what the engine needs to be told of a program's container."""
    return {
        "image": image(program.project),
        "command": [*under.words, *program.argv()],
        "environment": program.environment,
    }


@dataclass(frozen=True)
class Station(Box):
    """A container that runs an OpenStack program."""

    program: Program

    def seconds_to_start(self, patience: float) -> float | None:
        """Wait until every worker has said that it started; return how long after the container's start that was."""
        count = max(self.program.workers, 1)
        if not within(patience, lambda: len(self.starts()) >= count):
            return None
        return (self.starts()[count - 1] - moment(self.state()["StartedAt"])).total_seconds()

    def starts(self) -> list[datetime]:
        """Return when workers have said that they started, by the engine's clock."""
        lines = self.container.logs(timestamps=True).decode(errors="replace").splitlines()
        return [moment(line.partition(" ")[0]) for line in lines if self.program.started in line]

    def observe(self, *question: str) -> Any:
        """Ask observe.py inside."""
        return json.loads(self.run("python3", "/opt/observe.py", *question))

    def workers(self) -> set[int]:
        """Return the living children of PID 1; PID 1 itself if there are none."""
        return set(self.observe("workers")) or {1}

    def change(self) -> None:
        """Change a value in the configuration file."""
        self.run("sed", "-i", "s/^debug = false/debug = true/", COMMON)

    def has_changed(self, pid: int) -> bool:
        """Whether a process has the new value, by its Guru Meditation Report, for which it has five seconds."""
        before = len(self.logs())
        report = re.compile(rf"^Process {pid} \(under.*?^default:.*?^  debug = (\w+)$", re.DOTALL | re.MULTILINE)
        self.attempt("sh", "-c", f"kill -USR2 {pid}")  # which may be gone by now
        found = within(5, lambda: report.search(self.logs()[before:]))
        return bool(found and found[1] == "True")

    def ended_by(self, name: str, patience: float) -> End | None:
        """Send a signal to PID 1 and wait for the end; None if there is none."""
        begun = time.monotonic()
        self.signal(name)
        try:
            code = self.container.wait(timeout=patience)["StatusCode"]
        except (NoAnswer, ReadTimeout):
            return None
        return End(time.monotonic() - begun, int(code))


def within(patience: float, condition: Callable[[], Any]) -> Any:
    """Return what `condition` returns as soon as it is true, or what it says at the deadline."""
    deadline = time.monotonic() + patience
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(STEP)
    return found


def moment(text: str) -> datetime:
    """Read a time as the engine writes it, with nanoseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))
