"""HTTP clients that ask again and again, bounded in count and time."""

from __future__ import annotations

import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Self

from tests.functional.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    import ssl

LIMIT = 20_000  # requests of one client
PACE = 0.002  # seconds between two requests of a client


def client(port: int, tls: ssl.SSLContext | None = None) -> HTTPConnection:
    """Return a connection that is not open yet."""
    if tls is None:
        return HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    return HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=tls)


def get(port: int, path: str = "/", tls: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Ask once, on a connection of its own; return status and body."""
    connection = client(port, tls)
    try:
        return ask(connection, path)
    finally:
        connection.close()


def ask(connection: HTTPConnection, path: str = "/") -> tuple[int, str]:
    """Ask once more on a connection."""
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


class Load:
    """Clients in threads, from `with` to its end or to `pause`.

    `keep_alive` of them keep their connection as long as the server does, `fresh` ones never do.  They end by
    themselves after `patience` seconds.
    """

    def __init__(
        self,
        port: int,
        *,
        keep_alive: int = 2,
        fresh: int = 2,
        patience: float = 3 * PATIENCE,
        pace: float = PACE,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._port, self._patience, self._pace, self._tls = port, patience, pace, tls
        self._go_on = threading.Event()
        self._over = threading.Event()
        self._turns: list[threading.Lock] = []
        self._threads = [self._client(stay=number < keep_alive) for number in range(keep_alive + fresh)]

    def __enter__(self) -> Self:
        self._go_on.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._go_on.set()
        for thread in self._threads:
            thread.join()

    def pause(self) -> None:
        """Return when no request is in flight and none will be before `resume`."""
        self._go_on.clear()
        for turn in self._turns:
            with turn:
                pass

    def resume(self) -> None:
        """Go on."""
        self._go_on.set()

    def wait_for_more(self, count: int = 20) -> list[str]:
        """Return the next answers, so many of them at least."""
        before = len(self.answers)
        wait_for(lambda: self.failures or len(self.answers) >= before + count, f"{count} more answers")
        return self.answers[before:]

    def _client(self, *, stay: bool) -> threading.Thread:
        turn = threading.Lock()
        self._turns.append(turn)
        return threading.Thread(target=self._run, args=(turn, stay), daemon=True)

    def _run(self, turn: threading.Lock, stay: bool) -> None:
        connection = client(self._port, self._tls)
        deadline = time.monotonic() + self._patience
        for _ in range(LIMIT):
            self._go_on.wait(PATIENCE)
            if self._over.is_set() or time.monotonic() > deadline:
                break
            with turn:
                if self._go_on.is_set():
                    self._ask(connection)
                    if not stay:
                        connection.close()
            time.sleep(self._pace)
        connection.close()

    def _ask(self, connection: HTTPConnection) -> None:
        try:
            status, body = ask(connection)
        except (OSError, HTTPException) as error:
            self.failures.append(repr(error))
            connection.close()
            return
        if status == 200:
            self.answers.append(body)
        else:
            self.failures.append(f"{status} {body}")
