"""Services that do on request what applications do by accident: fork, leak, block, hog, crash."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl

from launcher import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Query = dict[str, float]
    Page = Callable[[Query], dict[str, Any]]

print("import begins", flush=True)  # noqa: T201 - the tests wait for it
time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))


def api(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    query = {name: float(value) for name, value in parse_qsl(environ.get("QUERY_STRING", ""))}
    body = json.dumps({"pid": os.getpid(), **PAGES[environ["PATH_INFO"]](query)}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def index(_query: Query) -> dict[str, Any]:
    return {}


def sleep(query: Query) -> dict[str, Any]:
    """Wait as a request does that waits for a database: other requests go on."""
    say("request sleeps")
    time.sleep(query["seconds"])
    return {}


def block(query: Query) -> dict[str, Any]:
    """Wait so that nothing else goes on in this thread, which with eventlet is the worker's only one."""
    say("request blocks")
    patcher = sys.modules.get("eventlet.patcher")
    (patcher.original("time") if patcher else time).sleep(query["seconds"])
    return {}


def burn(query: Query) -> dict[str, Any]:
    """Compute, and nothing else goes on in this worker meanwhile."""
    say("request burns")
    end = time.process_time() + query["seconds"]
    while time.process_time() < end:
        pass
    return {}


def orphans(query: Query) -> dict[str, Any]:
    """Fork twice: half of the orphans end at once, half of them a while later."""
    for number in range(int(query["count"])):
        pid = os.fork()
        if pid == 0:
            end_or_exec("sleep", str(number % 2)) if os.fork() == 0 else os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED)
    return {}


def zombies(query: Query) -> dict[str, Any]:
    """Leave dead children that nobody waits for."""
    for _ in range(int(query["count"])):
        if os.fork() == 0:
            os._exit(0)
    return {}


def daemon(_query: Query) -> dict[str, Any]:
    """Leave an orphan that TERM does not end."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which exec keeps
        end_or_exec("sleep", "1000") if os.fork() == 0 else os._exit(0)
    return {}


def hoard(_query: Query) -> dict[str, Any]:
    """Fork until the kernel refuses, and keep all of them."""
    for count in range(10_000):
        try:
            pid = os.fork()
        except OSError as error:
            return {"count": count, "error": error.strerror}
        if pid == 0:
            end_or_exec("sleep", "1000")
    return {"error": None}


def release(_query: Query) -> dict[str, Any]:
    """End what `hoard` has left, without a process more; a zombie counts as one, so wait for those of this worker."""
    for comm in Path("/proc").glob("[0-9]*/comm"):
        if comm.read_text() == "sleep\n":
            pid = int(comm.parent.name)
            os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED)
    return {}


def allocate(query: Query) -> dict[str, Any]:
    """Use memory, not only address space."""
    return {"bytes": len(b"x" * int(query["megabytes"] * 1_000_000))}


KEPT: list[bytes] = []


def keep(query: Query) -> dict[str, Any]:
    """Leak memory."""
    KEPT.append(b"x" * int(query["megabytes"] * 1_000_000))
    return {}


def kept(_query: Query) -> dict[str, Any]:
    """Tell how often memory was leaked."""
    return {"count": len(KEPT)}


def die(_query: Query) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


def end_or_exec(*command: str) -> NoReturn:
    try:
        os.execvp(command[0], command)
    finally:
        os._exit(127)


PAGES: dict[str, Page] = {
    f"/{page.__name__}": page
    for page in (sleep, block, burn, orphans, zombies, daemon, hoard, release, allocate, keep, kept, die)
}
PAGES["/"] = index


class Ticker(Service):
    """Works periodically."""

    def start(self) -> None:
        self.tg.add_timer(0.2, lambda: say(f"tick in process {os.getpid()}"))


class Stubborn(Service):
    """Does not care for TERM."""

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Crashing(Service):
    """Cannot start."""

    def start(self) -> None:
        sys.exit(3)


class Faulting(Service):
    """Dies of a signal as soon as it runs."""

    def start(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Hungry(Service):
    """Wants more memory than there is."""

    def start(self) -> None:
        allocate({"megabytes": 1000})
