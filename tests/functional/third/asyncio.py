"""A third backend, for test_third_backend.py: an event loop in a thread waits for all descriptors and serves HTTP.

What is called is ordinary code, so each call has a thread; coroutines run in the loop.
"""

from __future__ import annotations

import asyncio
import inspect
import select
import sys
import threading
from functools import cached_property
from io import BytesIO
from typing import Any

from launcher.supervisor.scoreboard import private_seat
from launcher.worker.backends.threading import ThreadingBackend, ThreadingTask


class AsyncioBackend(ThreadingBackend):
    name = "asyncio"

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="loop", daemon=True).start()
        return loop

    def patch(self) -> None:
        pass

    def after_fork(self) -> None:
        vars(self).pop("loop", None)  # its thread stayed behind

    def spawn(self, call: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inspect.iscoroutinefunction(call):
            return ThreadingTask(self.run, call(*args, **kwargs))
        return ThreadingTask(call, *args, **kwargs)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def wait_readable(self, fd: int) -> None:
        self.run(self._ready(fd, self.loop.add_reader, self.loop.remove_reader))

    def wait_writable(self, fd: int) -> None:
        self.run(self._ready(fd, self.loop.add_writer, self.loop.remove_writer))

    async def _ready(self, fd: int, add: Any, remove: Any) -> None:
        ready = asyncio.Event()
        add(fd, ready.set)
        try:
            await ready.wait()
        finally:
            remove(fd)

    def serve(self, app: Any, listeners: Any, _terms: Any, **_own: Any) -> Any:
        return AsyncioServer(self, app, listeners, self._seat)


class AsyncioServer:
    def __init__(self, backend: AsyncioBackend, app: Any, listeners: Any, seat: Any) -> None:
        self._backend, self._app, self._seat = backend, app, seat or private_seat()
        self._open, self._drained, self._over = 0, False, threading.Event()
        self._listeners = list(listeners)
        self._servers = [backend.run(asyncio.start_server(self._serve, sock=each)) for each in self._listeners]

    def drain(self) -> None:
        self._backend.run(self._close())

    def wait(self) -> None:
        self._over.wait()

    async def _close(self) -> None:
        while select.select(self._listeners, [], [], 0)[0]:  # noqa: ASYNC110 - nobody tells of an empty queue
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # who was accepted is served from the next turn on
        for server in self._servers:
            server.close()
        self._drained = True
        self._look()

    def _look(self) -> None:
        if self._drained and not self._open:
            self._over.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        self._seat.request_begins()
        try:
            line, *_ = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            writer.write(await asyncio.to_thread(self._answer, *line.split()[:2]))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._seat.request_ends()
            self._open -= 1
            self._look()

    def _answer(self, method: str, target: str) -> bytes:
        path, _, query = target.partition("?")
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": BytesIO()}
        head: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exception: object = None) -> None:
            head[:] = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "Connection: close"]

        body = b"".join(self._app(environ, start_response))
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "\r\n"]).encode() + body


if "eventlet" in sys.modules:
    raise ImportError("nothing of eventlet is to be here")
BACKEND = AsyncioBackend()
