"""A Python shell at the other end of a socket, in a running process.

Guarantees: what is printed by what is entered goes to that client and to no other, and what all else prints goes where
it went before; the end of the shell, by `exit()`, `sys.exit()` or the client's going away, is nobody else's.  It takes
no thread from anybody: it is a task of the backend's.

A loop without an end that is entered hangs the process as any other would.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from code import InteractiveConsole
from contextlib import suppress
from contextvars import ContextVar
from io import TextIOBase
from pprint import pformat
from typing import TYPE_CHECKING, Any, NoReturn

from launcher.worker import backends

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

LINE_MAX = 1 << 20  # bytes
GREEN = "green thread"
_current: ContextVar[Shell | None] = ContextVar("shell", default=None)


class Shell(TextIOBase):
    """What is entered by one client, and what comes of it.

    Parameters: the connection, which does not block, and which is closed at the end; the names that are there.
    """

    def __init__(self, client: socket.socket, names: dict[str, Any]) -> None:
        self._client = client
        self._heard = b""
        self._console = _Console(self, {**helpers(), **names})

    def converse(self) -> None:
        """Return when the client is gone, or has said so."""
        _current.set(self)
        with self._client, suppress(ConnectionError, SystemExit):
            self.write(f"process {os.getpid()}: fo(CLASS) finds objects, pgt() and pnt() print stacks, exit() leaves\n")
            more = False
            while (line := self._ask("... " if more else ">>> ")) is not None:
                more = self._console.push(line)

    def hang_up(self) -> None:
        """Let it come to its end soon."""
        with suppress(OSError):  # the client was faster
            self._client.shutdown(2)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Send text to the client.  Raises ConnectionError when it is gone."""
        data = memoryview(text.encode(errors="backslashreplace"))
        while data:
            try:
                data = data[self._client.send(data) :]
            except BlockingIOError:
                backends.current().wait_writable(self._client.fileno())
        return len(text)

    def _ask(self, prompt: str) -> str | None:
        """Return the next line, without its end; None when there is none any more."""
        self.write(prompt)
        while b"\n" not in self._heard:
            try:
                data = self._client.recv(65536)
            except BlockingIOError:
                backends.current().wait_readable(self._client.fileno())
                continue
            if not data or len(self._heard) > LINE_MAX:
                rest, self._heard = self._heard, b""
                return rest.decode(errors="replace") if rest and not data else None
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")


class _Console(InteractiveConsole):
    def __init__(self, shell: Shell, names: dict[str, Any]) -> None:
        super().__init__(names, filename="<backdoor>")
        self._shell = shell

    def write(self, data: str) -> None:
        self._shell.write(data)


class Stream:
    """In the place of sys.stdout: to the shell that prints, if it is one, else where it went before."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def __getattr__(self, name: str) -> Any:
        """Look it up where the caller's words go."""
        return getattr(_current.get() or self.before, name)


class Display:
    """In the place of sys.displayhook: a value that is entered in a shell is shown there, and `_` stays gettext's."""

    def __init__(self, before: Callable[[object], object]) -> None:
        self.before = before

    def __call__(self, value: object) -> None:
        """Show a value."""
        shell = _current.get()
        if shell is None:
            self.before(value)
        elif value is not None:
            shell.write(f"{pformat(value)}\n")


def divert() -> None:
    """Have the words of shells go to their clients from now on; again is no harm."""
    if not isinstance(sys.stdout, Stream):
        sys.stdout = Stream(sys.stdout)
    if not isinstance(sys.stderr, Stream):
        sys.stderr = Stream(sys.stderr)
    if not isinstance(sys.displayhook, Display):
        sys.displayhook = Display(sys.displayhook)


def undivert() -> None:
    """Put back what was there, where nobody has replaced ours."""
    if isinstance(sys.stdout, Stream):
        sys.stdout = sys.stdout.before
    if isinstance(sys.stderr, Stream):
        sys.stderr = sys.stderr.before
    if isinstance(sys.displayhook, Display):
        sys.displayhook = sys.displayhook.before


# What is there to call


def helpers() -> dict[str, Any]:
    """Return what a shell has by itself (oslo.service: the same)."""
    return {"fo": find_objects, "pgt": print_green_threads, "pnt": print_native_threads, "exit": _end, "quit": _end}


def _end(*_: object) -> NoReturn:
    """End this shell: the built-in one would close the stdin of the process."""
    raise SystemExit


def find_objects(kind: type) -> list[Any]:
    """Return all objects of a class that the garbage collector knows of."""
    # By their types: a proxy of what is gone cannot be asked for its class.
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]


def print_green_threads(simple: bool = True) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
    """Print the stacks of all green threads, with their local variables unless `simple`."""
    stacks = [each for each in backends.current().stacks() if each[0].startswith(GREEN)]
    for title, frame in stacks:
        _print(title, frame, simple=simple)


def print_native_threads() -> None:
    """Print the stacks of all threads."""
    for title, frame in backends.current().stacks():
        if not title.startswith(GREEN):
            _print(title, frame, simple=True)


def _print(title: str, frame: FrameType, *, simple: bool) -> None:
    stack = traceback.StackSummary.extract(traceback.walk_stack(frame), capture_locals=not simple)
    stack.reverse()
    print(f"{title}:", *stack.format(), sep="\n")  # noqa: T201 - for whoever has asked
