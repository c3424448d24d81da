"""Services run together in one process.

What each worker runs, and a program that needs no workers.  oslo.service starts each service in a
green thread and turns what goes wrong into SystemExit; here `start()` runs in the caller, so its
exception reaches whoever can report it.

Guarantees: a stop reaches every service at once, whatever another one's `stop()` does or raises.
`wait()` does not return before `stop()` was called, even if nothing runs.
"""

from __future__ import annotations

from threading import RLock
from typing import Any

from launcher.service import periodic
from launcher.worker import backends
from launcher.worker.application import lacking

_ends = False


def is_ending() -> bool:
    """Whether the services of this process are being stopped for good, not to be started again."""
    return _ends


def check_service(service: object) -> None:
    """Raise `TypeError` unless this is a service: an object with start(), stop() and wait(), maybe reset() too.

    Whose class it is does not matter, so a service of oslo.service is one as it is.
    """
    if isinstance(service, type):
        raise TypeError(f"{service.__qualname__} is a class; a service is an object of it")
    if missing := lacking(service):
        raise TypeError(f"{service!r} is no service: it has no {', '.join(missing)}")


class Services:
    """Services that are started one by one and stopped together (oslo.service: the same)."""

    def __init__(self) -> None:
        self.services: list[Any] = []
        self._stopping = False
        self._lock = RLock()
        self._done = backends.current().event()

    def add(self, service: Any) -> None:
        """Start a service, then its periodic methods.  What that raises goes to the caller, and it is not added."""
        self._start(service)
        self.services.append(service)

    def stop(self) -> None:
        """Stop every service at once and return when all their `stop()` have.  A second call does nothing."""
        global _ends  # noqa: PLW0603 - of the process
        with self._lock:
            if self._stopping:
                return
            _ends = self._stopping = True
        self._stop(self.services)
        self._done.set()

    def wait(self) -> None:
        """Return when `stop()` was called and every service's `wait()` has returned."""
        self._wait(self.services)
        self._done.wait()
        self._wait(self.services)  # for what they took on after a wait() that came back at once

    def reset(self) -> None:
        """Have every service take up a changed configuration.  What that raises is logged."""
        for service in self.services:
            if hasattr(service, "reset"):
                backends.current().guard(service.reset)

    def restart(self) -> None:
        """Stop, reset and start the services again in this process (oslo.service: the same).

        A service with a socket is only reset: to stop it would turn its clients away.  After a
        `stop()`, also one that comes meanwhile, nothing is started any more.
        """
        again = [service for service in self.services if not getattr(service, "wants_socket", False)]
        self._stop(again)
        self._wait(again)
        self.reset()
        for service in again:
            if not self._stopping:
                self._start(service)

    def _start(self, service: Any) -> None:
        service.start()
        periodic.begin(service)

    def _stop(self, services: list[Any]) -> None:
        for task in [backends.current().spawn(self._end, service) for service in services]:
            task.wait()

    def _end(self, service: Any) -> None:
        service.stop()

    @staticmethod
    def _wait(services: list[Any]) -> None:
        for service in services:
            service.wait()


class Launcher:
    """Runs services in this process, without signals and without workers (oslo.service: the same).

    `conf` is the application's configuration; it is kept for subclasses.
    """

    backdoor_port: int | None = None

    def __init__(self, conf: Any) -> None:
        self.conf = conf
        self.services = self._make_services()

    def _make_services(self) -> Services:
        return Services()

    def launch_service(self, service: Any, workers: int | None = 1) -> None:
        """Start a service here.

        Raises `ValueError` for more than one worker, `TypeError` for what is no service, and
        whatever the service's `start()` raises.
        """
        if workers not in {None, 1}:
            raise ValueError(f"workers = {workers}: {type(self).__name__} runs a service in this process only")
        check_service(service)
        service.backdoor_port = self.backdoor_port
        self.services.add(service)

    def stop(self) -> None:
        """Stop all services."""
        self.services.stop()

    def wait(self) -> int | None:
        """Return when the services were stopped and are done; a subclass returns an exit code."""
        self.services.wait()
        return None

    def restart(self) -> None:
        """Restart all services in this process."""
        self.services.restart()
