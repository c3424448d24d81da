"""What the tests of real containers share: a container as a test sees it, deadlines, and clients that keep asking.

Containers are spoken to through ports published on 127.0.0.1, by exec, and by signals; never by their address.
"""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.models.containers import Container

    Found = TypeVar("Found")

BASE_IMAGE, DEV_IMAGE = "launcher:latest", "launcher-dev:latest"
PATIENCE = 40.0  # seconds; the deadline of everything that is bound to happen
REQUESTS_MAX = 5000  # of one client
PAUSE = 0.005  # seconds between two requests of one client: two cores are shared by all of this
LOG_LIMIT = 40_000  # characters of a failed container's log

both_backends = pytest.mark.parametrize("backend", ["eventlet", "threading"], indirect=True)


def wait_for(condition: Callable[[], Found], what: str, patience: float = PATIENCE) -> Found:
    """Return what `condition` returns as soon as it is true; fail the test at the deadline."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience:.0f} s in vain for {what}; last seen: {found!r}")
        time.sleep(0.1)
    return found


def shell(*command: str, patience: float = 110.0, **options: Any) -> str:
    """Run a command of the host; return its output, or fail the test with it."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False, **options)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Process:
    """A process as /proc shows it inside the container."""

    pid: int
    parent: int
    state: str
    fields: dict[str, str]
    command: list[str]

    @classmethod
    def read(cls, seen: dict[str, Any]) -> Process:
        """Take what look.py has printed."""
        fields = seen["status"]
        return cls(int(fields["Pid"]), int(fields["PPid"]), fields["State"][0], fields, seen["command"])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request."""

    status: int
    says_close: bool
    content: dict[str, Any]


class Client:
    """An HTTP client on one connection, which opens anew when the server has said that it closes."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def get(self, path: str = "/") -> Reply:
        """Send a request and return the answer."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        says_close = response.getheader("Connection", "").lower() == "close"
        return Reply(response.status, says_close, json.loads(response.read()))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Box:
    """A container and what tests ask of it."""

    container: Container

    # What it is

    @property
    def port(self) -> int:
        """Where the container's port 8080 is on 127.0.0.1."""
        return int(self.inspect()["NetworkSettings"]["Ports"]["8080/tcp"][0]["HostPort"])

    def inspect(self) -> dict[str, Any]:
        """Return what `docker inspect` says now."""
        self.container.reload()
        return self.container.attrs

    def state(self) -> dict[str, Any]:
        """Return the engine's view: Status, ExitCode, Health, Pid."""
        return self.inspect()["State"]

    def logs(self) -> str:
        """Return stdout and stderr so far."""
        return self.container.logs().decode(errors="replace")

    def said(self, text: str, times: int = 1) -> None:
        """Wait until the logs have `text` so many times."""
        wait_for(lambda: self.logs().count(text) >= times, f"{text!r} in the logs, {times} times")

    def describe(self) -> tuple[str, str]:
        """Return title and text for a failed test's report."""
        state = self.state()
        title = f"container {self.container.short_id}: {state['Status']}, exit code {state['ExitCode']}"
        return title, self.logs()[-LOG_LIMIT:]

    # What goes on inside

    def run(self, *command: str) -> str:
        """Execute a command inside; return its output, or fail the test with it."""
        code, output = self.attempt(*command)
        assert code == 0, f"{' '.join(command)}: exit code {code}\n{output}"
        return output

    def attempt(self, *command: str) -> tuple[int, str]:
        """Execute a command inside; return exit code and output."""
        code, output = self.container.exec_run(list(command))
        return code, output.decode(errors="replace")

    def kill_worker(self, pid: int) -> None:
        """Send KILL to a process inside."""
        self.run("sh", "-c", f"kill -KILL {pid}")

    def look(self, *question: str) -> Any:
        """Ask app/look.py inside."""
        return json.loads(self.run("python3", "/app/look.py", *question))

    def processes(self) -> dict[int, Process]:
        """Return all processes but the one that looks."""
        return {process.pid: process for process in map(Process.read, self.look("processes"))}

    def status(self) -> dict[str, Any]:
        """Ask the supervisor on its control socket."""
        return json.loads(self.run("python3", "/app/ask.py", "status"))

    def await_workers(self, count: int, *, without: set[int] | None = None) -> set[int]:
        """Wait until exactly so many workers are ready and none of `without` is left; return their PIDs."""

        def settled() -> set[int]:
            status = self.status()
            pids = {worker["pid"] for worker in status["workers"]}
            all_ready = all(worker["stage"] == "ready" for worker in status["workers"])
            return pids if all_ready and len(pids) == count and not pids & (without or set()) else set()

        return wait_for(settled, f"{count} ready workers")

    def await_no_zombies(self) -> dict[int, Process]:
        """Wait until no process is dead and not waited for; return the living."""

        def living() -> dict[int, Process]:
            processes = self.processes()
            return {} if any(process.state == "Z" for process in processes.values()) else processes

        return wait_for(living, "a process table without zombies")

    # What a client sees

    def get(self, path: str = "/") -> Reply:
        """Send one request on a connection of its own."""
        client = Client(self.port)
        try:
            return client.get(path)
        finally:
            client.close()

    def is_serving(self) -> bool:
        """Whether a request is answered."""
        try:
            return self.get().status == 200
        except (OSError, HTTPException):
            return False

    # Its end

    def signal(self, name: str) -> None:
        """Send a signal to the container's first process."""
        self.container.kill(name)

    def stop(self, patience: int = 30) -> int:
        """`docker stop`; return the exit code.  Docker's own KILL comes after `patience` seconds, beyond any grace."""
        self.container.stop(timeout=patience)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for the end; return the exit code."""
        return int(self.container.wait(timeout=PATIENCE)["StatusCode"])

    def await_healthy(self) -> None:
        """Wait for Docker's HEALTHCHECK; fail at once if the container ends."""

        def healthy() -> bool:
            state = self.state()
            if state["Status"] not in {"created", "running"}:
                pytest.fail(f"the container ended with exit code {state['ExitCode']} before it was healthy")
            return state["Health"]["Status"] == "healthy"

        wait_for(healthy, "a healthy container")


class Call(Thread):
    """One request on a connection of its own, sent beside the test."""

    def __init__(self, box: Box, path: str) -> None:
        super().__init__(daemon=True)
        self._port, self._path = box.port, path
        self._outcome: Reply | Exception | None = None
        self.start()

    def run(self) -> None:
        """Send it."""
        client = Client(self._port)
        try:
            self._outcome = client.get(self._path)
        except (OSError, HTTPException) as error:
            self._outcome = error
        finally:
            client.close()

    def was_answered(self) -> bool:
        """Wait for the answer; return whether there is one."""
        self.join(PATIENCE)
        return isinstance(self._outcome, Reply)

    def reply(self) -> Reply:
        """Wait for the answer; fail the test if there is none."""
        assert self.was_answered(), f"{self._path}: {self._outcome!r}"
        return self._outcome


class Load:
    """What clients that keep asking have seen so far."""

    def __init__(self) -> None:
        self.answered_by: set[int] = set()
        self.failures: list[str] = []
        self.over = Event()

    def ask(self, port: int, *, keep_alive: bool) -> None:
        """Send requests until it is over, but never more than some thousand."""
        client = Client(port)
        for number in range(REQUESTS_MAX):
            if self.over.wait(PAUSE):
                break
            try:
                self.answered_by.add(client.get().content["pid"])
            except (OSError, HTTPException, ValueError) as error:
                self.failures.append(f"request {number}, {keep_alive=}: {error!r}")
                client.close()
            if not keep_alive:
                client.close()
        client.close()


@contextmanager
def load(box: Box, clients: int = 4) -> Iterator[Load]:
    """Have clients ask while the block runs: half keep their connections, half open one for each request."""
    seen, port = Load(), box.port
    threads = [
        Thread(target=seen.ask, args=(port,), kwargs={"keep_alive": bool(number % 2)}, daemon=True)
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.over.set()
        for thread in threads:
            thread.join(PATIENCE)
