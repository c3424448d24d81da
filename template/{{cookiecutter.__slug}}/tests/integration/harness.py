"""A container as the tests see it: spoken to by exec, by signals, and through a port published on 127.0.0.1."""

from __future__ import annotations

import json
import time
{% if cookiecutter.__api %}
from http.client import HTTPConnection
{% endif %}
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = TypeVar("Found")

PATIENCE = 60.0  # seconds; the deadline of what is bound to happen
{% if cookiecutter.__api %}
PORT = "{{ cookiecutter.http_port }}/tcp"
{% endif %}


def wait_for(condition: Callable[[], Found], what: str) -> Found:
    """Return what `condition` returns as soon as it is true; fail the test at the deadline."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain for {what}; last seen: {found!r}")
        time.sleep(0.1)
    return found


class Box:
    """A container of our image."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def state(self) -> Any:
        """Return what the engine says of it now."""
        self.container.reload()
        return self.container.attrs["State"]

    def logs(self) -> str:
        """Return stdout and stderr so far."""
        return str(self.container.logs().decode(errors="replace"))

    def run(self, *command: str) -> str:
        """Execute a command inside; return its output, or fail the test with it."""
        code, output = self.container.exec_run(list(command))
        text = str(output.decode(errors="replace"))
        assert code == 0, f"{' '.join(command)}: exit code {code}\n{text}"
        return text

    def status(self) -> Any:
        """Ask the supervisor."""
        return json.loads(self.run("launcher", "status", "--json"))

    def workers(self, count: int, without: int = 0) -> list[int]:
        """Wait until so many workers are ready, `without` not among them; return their PIDs."""

        def ready() -> list[int]:
            pids = [worker["pid"] for worker in self.status()["workers"] if worker["stage"] == "ready"]
            return pids if len(pids) == count and without not in pids else []

        return wait_for(ready, f"{count} ready workers")

    def kill(self, pid: int) -> None:
        """Send SIGKILL to a process inside."""
        self.run("sh", "-c", f"kill -KILL {pid}")

    def await_healthy(self) -> None:
        """Wait for the health check; fail at once if the container ends."""

        def healthy() -> bool:
            state = self.state()
            if state["Status"] not in {"created", "running"}:
                pytest.fail(f"exit code {state['ExitCode']} before it was healthy:\n{self.logs()}")
            return bool(state["Health"]["Status"] == "healthy")

        wait_for(healthy, "a healthy container")

    def stop(self) -> int:
        """`docker stop`, with more patience than a stop can take; return the exit code."""
        self.container.stop(timeout=60)
        return int(self.container.wait(timeout=PATIENCE)["StatusCode"])
{% if cookiecutter.__api %}

    def ask(self, method: str, path: str, body: str | None = None, token: str = "") -> tuple[int, Any]:
        """Send a request on a connection of its own; return status and content of the answer."""
        self.container.reload()
        port = int(self.container.attrs["NetworkSettings"]["Ports"][PORT][0]["HostPort"])
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()
{% endif %}
