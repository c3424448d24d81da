"""How a worker comes to be.

`ForkSpawner` forks the calling process, as oslo.service does: for a program that holds its services
itself.  `MoldSpawner` asks the mold, a process that has loaded the application, so that the supervisor
never does: the mold forks twice, and the kernel hands the worker to the supervisor.

Guarantees: signals are blocked around every fork; a child has none of the supervisor's descriptors
but those in `Ties` and the listening sockets of its service.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from posix import fork as _fork  # not `os.fork`: who is made by that is the program's own (sharing.py)
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from launcher.errors import EXIT_CONFIG, EXIT_SOFTWARE, ConfigError
from launcher.supervisor import signals
from launcher.supervisor.copies import Copies
from launcher.supervisor.outbox import Outbox
from launcher.supervisor.settings import Settings
from launcher.supervisor.unpatched import unpatched
from launcher.supervisor.watching import EPOLLIN, EPOLLOUT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from launcher.supervisor.hooks import HookCall
    from launcher.supervisor.scoreboard import Scoreboard
    from launcher.supervisor.state import Remold, Spawn

    Listeners = Sequence[socket.socket]

MESSAGE_MAX = 65536  # bytes of one packet; what a mold has loaded is a line of as many as it takes
LINE_MAX = 1 << 24  # bytes
NONSENSE = "what came from the mold makes no sense: the application wrote to a descriptor that it did not open"


@dataclass(frozen=True, slots=True)
class Ties:
    """What binds a forked process to its supervisor."""

    supervisor: int
    """Its PID."""
    notice_fd: int
    """Where to write notices (notices.py)."""
    lifeline_fd: int
    """At its end when the supervisor is gone: only the supervisor holds the other end."""
    scoreboard: Scoreboard
    """Where a worker says what it is at."""
    seat: int = -1
    """Its place there; nobody looks at -1."""

    def of(self, spawn: Spawn) -> Ties:
        """Return the ties of a worker."""
        return replace(self, seat=spawn.seat)


class Spawner(Protocol):
    """Where workers come from."""

    def prepare(self, generation: int) -> int | None:
        """Begin to load a generation; return the mold's PID, or None when it is loaded already.  Raises OSError."""

    def mutate(self) -> None:
        """The workers are about to be told to take up a changed configuration in place."""

    def spawn(self, spawn: Spawn, listeners: Listeners) -> int | None:
        """Fork a worker; return its PID, or None when the answer comes as a notice.  Raises OSError."""

    def call_hook(self, generation: int, call: HookCall) -> None:
        """Fork a process that runs a hook of the application.  Raises OSError."""

    def remold(self, remold: Remold) -> None:
        """Ask a worker for a copy that becomes the mold; the answer comes as a notice.  Raises OSError."""

    def hand_over(self, generation: int) -> None:
        """The copy is ready: ask it from now on, and let the old mold end."""

    def worker_ended(self, seat: int) -> None:
        """The worker of this seat is gone."""

    def hear_all(self) -> None:
        """Hear what molds have said before their deaths are told."""

    def forget(self, generation: int) -> None:
        """A generation is not needed any more, or its mold is gone."""


def fork(child: Callable[[], int], *, prologue: Callable[[], None]) -> int:
    """Fork; the child runs `prologue` with all signals blocked, then `child`, and exits with its result.

    Nothing of the caller's stack is ever unwound in the child.
    """
    mask = signals.block_all()
    try:
        pid = _fork()
        if pid == 0:
            _run_child(child, prologue)
        return pid
    finally:
        signals.restore(mask)


def _run_child(child: Callable[[], int], prologue: Callable[[], None]) -> NoReturn:
    code = EXIT_SOFTWARE
    try:
        prologue()
        signals.restore(())
        code = child()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the border: nothing may unwind into the parent's stack
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        flush()
        os._exit(code & 0xFF)


def flush() -> None:
    """Write what is buffered for stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or never there
            continue


class ForkSpawner:
    """Forks this very process.

    Parameters: `run`, what the child does, given the Spawn and the sockets of its service; `prologue`,
    what it does first, with all signals blocked, given the sockets to keep; `load`, to take up a
    generation in this process and tell the loop; `mutate`, to take up a changed configuration in place.
    """

    def __init__(
        self,
        run: Callable[[Spawn, Listeners], int],
        prologue: Callable[[Listeners], None],
        load: Callable[[int], None],
        mutate: Callable[[], None],
    ) -> None:
        self._run, self._prologue, self._load, self._mutate = run, prologue, load, mutate

    def prepare(self, generation: int) -> None:
        """Load here and now: this process holds the application already."""
        self._load(generation)

    def mutate(self) -> None:
        """Do it here and now."""
        self._mutate()

    def spawn(self, spawn: Spawn, listeners: Listeners) -> int:
        """Fork a worker.  Raises OSError."""
        return fork(lambda: self._run(spawn, listeners), prologue=lambda: self._prologue(listeners))

    def call_hook(self, generation: int, call: HookCall) -> NoReturn:
        """Refuse: a program that launches its services itself has no hooks."""
        raise NotImplementedError

    def remold(self, remold: Remold) -> NoReturn:
        """Refuse: this very process is what workers are forked from."""
        raise NotImplementedError

    def hand_over(self, generation: int) -> None:
        """Do nothing."""

    def worker_ended(self, seat: int) -> None:
        """Do nothing."""

    def hear_all(self) -> None:
        """Do nothing."""

    def forget(self, generation: int) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a mold has to say: how long it may take, then the settings it read, or why it could not."""

    settings: Settings | None = None
    code: int = 0
    reason: str = ""
    startup_timeout: float | None = None  # said first, before the application is imported

    def pack(self) -> bytes:
        """Encode for the channel: a line."""
        plain = asdict(self)
        plain["settings"] = self.settings and self.settings.to_json()
        return json.dumps(plain).encode() + b"\n"

    def tell(self, send: Callable[[bytes], object]) -> None:
        """Send it, in as many packets as it takes.  Raises `ConfigError` if the application has closed the channel."""
        line = self.pack()
        try:
            for begin in range(0, len(line), MESSAGE_MAX):
                send(line[begin : begin + MESSAGE_MAX])
        except (BrokenPipeError, ConnectionResetError):  # nobody wants to know any more
            pass
        except OSError as error:
            raise ConfigError(
                "the channel to the supervisor is not there any more "
                f"({(error.strerror or str(error)).lower()}): an application must leave alone what it did not open"
            ) from None

    @classmethod
    def unpack(cls, data: bytes) -> Loaded:
        """Decode what `pack` made."""
        plain: dict[str, Any] = json.loads(data)
        settings = plain["settings"] and Settings.from_json(plain["settings"])
        return cls(settings, plain["code"], plain["reason"], plain["startup_timeout"])


def _understood(line: bytes) -> Loaded:
    """Decode, whatever it is: an application may have written to a number that was another descriptor's."""
    try:
        return Loaded.unpack(line)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Loaded(code=EXIT_CONFIG, reason=NONSENSE)


class Asker(Protocol):
    """Who wants workers of molds: the loop."""

    def watch(self, fd: int, call: Callable[[], None], events: int) -> None:
        """Call when `fd` is ready for one of these events; of two calls the later counts."""

    def unwatch(self, fd: int) -> None:
        """Forget a descriptor, before it is closed."""

    def loaded(self, generation: int, loaded: Loaded) -> None:
        """A mold has said this."""

    def spawn_failed(self, serial: int, reason: str) -> None:
        """The Spawn of this serial number cannot be asked for."""


class MoldSpawner:
    """Asks a mold for workers; one mold a generation.

    Parameters: `run`, what a mold does, given its generation and its end of the channel; `prologue`,
    what it does first, with all signals blocked, given the sockets to keep; `asker`, who watches the
    channels and is told what comes of it all.
    """

    def __init__(
        self,
        run: Callable[[int, socket.socket], int],
        prologue: Callable[[Listeners], None],
        asker: Asker,
    ) -> None:
        self._run, self._prologue, self._asker = run, prologue, asker
        self._channels: dict[int, socket.socket] = {}
        self._outboxes: dict[int, Outbox] = {}
        self._heard: dict[int, bytes] = {}  # lines whose ends have not come
        self._leaving: dict[socket.socket, Outbox] = {}  # of molds that another one has replaced
        self._copies = Copies()

    def prepare(self, generation: int) -> int:
        """Fork a mold; what it has loaded is told to `loaded`.  Raises OSError."""
        sockets = unpatched("socket")
        ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
        try:
            pid = fork(lambda: self._run(generation, theirs), prologue=self._in_child(ours))
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._open(generation, ours)
        return pid

    def _open(self, generation: int, ours: socket.socket) -> None:
        self._channels[generation] = ours
        self._outboxes[generation] = Outbox(ours, self._asker.spawn_failed)
        self._attend(generation)

    def _attend(self, generation: int) -> None:
        """Watch the channel for what the mold says, and for room where requests wait for it."""
        events = EPOLLIN | EPOLLOUT if self._outboxes[generation] else EPOLLIN
        self._asker.watch(self._channels[generation].fileno(), lambda: self._converse(generation), events)

    def _in_child(self, ours: socket.socket) -> Callable[[], None]:
        def prologue() -> None:
            self._prologue(())
            ours.close()
            for channel in (*self._channels.values(), *self._leaving):
                channel.close()
            self._copies.close_in_child()

        return prologue

    def mutate(self) -> None:
        """Do nothing: a worker reads the files anew at its start, for the mold has not."""

    def spawn(self, spawn: Spawn, listeners: Listeners) -> None:
        """Ask for a worker; the mold's answer is a notice.  Raises OSError."""
        self._post(spawn.generation, spawn, listeners, self._copies.expect(spawn))

    def call_hook(self, generation: int, call: HookCall) -> None:
        """Ask for a hook's process, in turn; the mold's answer is a notice.  Raises OSError."""
        self._post(generation, call, ())

    def _post(self, generation: int, request: Spawn | HookCall, listeners: Listeners, given: Listeners = ()) -> None:
        outbox = self._outboxes.get(generation)
        if outbox is None:
            for each in given:
                each.close()
            raise BrokenPipeError(f"the mold of generation {generation} is gone")
        outbox.post(request.serial, json.dumps(asdict(request)).encode(), listeners, given)
        if len(outbox) == 1:
            self._attend(generation)

    def _converse(self, generation: int) -> None:
        self._hear(generation)
        outbox = self._outboxes.get(generation)
        if outbox is not None:
            outbox.flush()
        if outbox is not None and not outbox:
            self._attend(generation)

    def _hear(self, generation: int) -> None:
        while (channel := self._channels.get(generation)) is not None:
            try:
                data = channel.recv(MESSAGE_MAX)
            except BlockingIOError:
                return
            except ConnectionResetError:  # it died with requests unread
                data = b""
            if not data:
                self._close(generation)
                return
            line = self._heard.pop(generation, b"") + data
            if line.endswith(b"\n") or len(line) > LINE_MAX:
                self._asker.loaded(generation, _understood(line))
            else:
                self._heard[generation] = line

    def remold(self, remold: Remold) -> None:
        """Ask a worker for a copy that becomes the mold; the answer comes as a notice.  Raises OSError."""
        self._copies.ask(remold)

    def hand_over(self, generation: int) -> None:
        """Ask the copy from now on; the old mold ends when it has done what it was asked for."""
        if (old := self._channels.pop(generation, None)) is not None:
            self._heard.pop(generation, None)
            self._leaving[old] = self._outboxes.pop(generation)
            self._asker.watch(old.fileno(), lambda: self._drain(old), EPOLLOUT)
            self._drain(old)
        if (ours := self._copies.take(generation)) is not None:
            self._open(generation, ours)

    def _drain(self, channel: socket.socket) -> None:
        """Send what a mold that is replaced was asked for, and close its channel."""
        outbox = self._leaving[channel]
        outbox.flush()
        if not outbox:
            del self._leaving[channel]
            self._asker.unwatch(channel.fileno())
            channel.close()

    def worker_ended(self, seat: int) -> None:
        """The worker of this seat is gone."""
        self._copies.worker_ended(seat)

    def hear_all(self) -> None:
        """Hear what molds have said before their deaths are told."""
        for generation in list(self._channels):
            self._hear(generation)

    def forget(self, generation: int) -> None:
        """Close the channels of a generation's molds; those that live end themselves on it."""
        self._copies.forget(generation)
        self._close(generation)

    def _close(self, generation: int) -> None:
        channel = self._channels.pop(generation, None)
        if channel is not None:
            self._outboxes.pop(generation).close()
            self._heard.pop(generation, None)
            self._asker.unwatch(channel.fileno())
            channel.close()
