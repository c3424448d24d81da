"""A service in a test, without forking: started, ready, used and stopped as a worker does it.

    with Running(WSGIService(app)) as running:
        assert urlopen(f"{running.url}/orders").status == 200

It runs in a thread of its own, so a test may block as it likes, on either backend; where the process is patched by
eventlet that is a green thread, and a test that waits lets it run.  Signals, limits and the backdoor are a worker's,
and not to be had here.
"""

from __future__ import annotations

import socket
import threading
import traceback
from collections import deque
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, Any

from launcher.service import identity, readiness
from launcher.service.services import Launcher, check_service
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds
PATIENCE_MAX = 1_000_000.0  # seconds; epoll counts milliseconds in a C int and ends at 24 days
RESPITE = 1.0  # seconds for a thread that has nothing to do any more


class Running:
    """A service that runs as long as `with` lasts, or from `start()` until `stop()`.

    Parameters: the service, an object; `conf`, as its worker would have it; `backend`, that of the process from now on;
    `worker_id`, what `launcher.worker_id()` is to be; `patience`, how many seconds each step may take until it raises
    `TimeoutError`.  A service that wants a socket gets one at a free port of the loopback address, unless it has some.
    """

    def __init__(
        self, service: Any, *, conf: Any = None, backend: str = "", worker_id: int = 0, patience: float = PATIENCE
    ) -> None:
        check_service(service)
        if backend:
            backends.select(backend)
        self.service = service
        self._worker_id, self._patience = worker_id, min(patience, PATIENCE_MAX)
        self._launcher = Launcher(conf)
        self._ready = threading.Event()
        self._begun = False
        self._aside: Aside | None = None
        self._listeners: tuple[socket.socket, ...] = ()  # those that are from us
        self._address: tuple[str, int] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of its socket, once it is started."""
        if self._address is None:
            raise RuntimeError("the service has no socket of its own, or was not started")
        return self._address

    @property
    def url(self) -> str:
        """The same, as the beginning of a URL."""
        host, port = self.address
        return f"http://{host}:{port}"

    def __enter__(self) -> Self:
        """Start it, and return when it is ready."""
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it, and return when it has ended."""
        self.stop()

    def start(self) -> None:
        """Have it start, once; what its `start()` raises is raised here."""
        if self._begun:
            raise RuntimeError(
                "it was started already; another Running may start the service again once it was stopped"
            )
        self._begun = True
        identity.become(self._worker_id)
        if getattr(self.service, "wants_socket", False):
            self._give_socket()
        readiness.on_ready(self._ready.set)
        self._aside = Aside()
        try:
            self._do("start", self._launcher.launch_service, self.service)
        except BaseException:
            self._end()
            raise
        if not getattr(self.service, "announces_ready", False):
            readiness.ready()

    def _give_socket(self) -> None:
        # Here, for on Python 3.13 eventlet's cannot be imported for the first time in a green thread.
        import_module(f"{backends.__name__}.{backends.current().name}_wsgi")
        if not getattr(self.service, "listeners", ()):
            listener = socket.create_server((HOST, 0))
            listener.setblocking(False)
            self._address = listener.getsockname()
            self.service.listeners = self._listeners = (listener,)

    def wait_ready(self) -> None:
        """Return when it is ready, as the supervisor would see it."""
        if not self._begun:
            raise RuntimeError("the service was not started")
        if not self._ready.wait(self._patience):
            self._late("get ready")

    def reset(self) -> None:
        """Have it take up a changed configuration."""
        self._do("reset", self.service.reset)

    def stop(self) -> None:
        """Have it stop, and return when it has ended."""
        try:
            self._do("stop", self._launcher.stop)
            self._do("end", self._launcher.wait)
        finally:
            self._end()

    def _do(self, what: str, call: Callable[..., object], *args: object) -> None:
        if self._aside is None:
            raise RuntimeError("the service is not running")
        try:
            self._aside.ask(call, *args).result(self._patience)
        except TimeoutError:
            self._late(what)

    def _late(self, what: str) -> None:
        lines = [f"{self.service!r} did not {what} within {self._patience:g} s\n"]
        for title, frame in backends.current().stacks():
            lines += [f"{title}:\n", *traceback.format_stack(frame)]
        raise TimeoutError("".join(lines))

    def _end(self) -> None:
        if self._aside is not None:
            self._aside.close()
            self._aside = None
        if self._listeners:
            self.service.listeners = ()
        for listener in self._listeners:
            listener.close()  # unless the service has taken it over


class Aside:
    """A thread where the service's tasks are at home; it wakes by a descriptor, as a worker's does."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()

    def ask(self, call: Callable[..., object], *args: object) -> Future[object]:
        """Have it called there; several at a time."""
        future: Future[object] = Future()

        def answer() -> None:
            try:
                future.set_result(call(*args))
            except BaseException as error:  # noqa: BLE001 - it is the asker's
                future.set_exception(error)

        self._calls.append(answer)
        self._waker.send(b"\0")
        return future

    def close(self) -> None:
        """Let the thread end; what is still under way there is left alone, and so is a thread that does not yield."""
        self._waker.close()
        self._thread.join(RESPITE)
        if not self._thread.is_alive():
            self._wake.close()

    def _run(self) -> None:
        while True:
            backends.current().wait_readable(self._wake.fileno())
            if not self._wake.recv(1):
                backends.current().leave_thread()
                return
            backends.current().spawn(self._calls.popleft())
