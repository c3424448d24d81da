"""What commands write, relayed line by line to our own stdout and stderr, each line with its origin.

Guarantees: nobody is waited for.  While our stdout or stderr takes nothing, the pipes that lead there are
not read, so that in the end the writer waits and nothing grows here.  A line is written in one piece
(PIPE_BUF, pipe(7)); a longer one is cut.  What a command wrote before its end is relayed before its end is told,
with the last line even if that has no line end.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from launcher.supervisor.stderr import PIPE_BUF, POLLOUT, open_nonblocking
from launcher.supervisor.unpatched import unpatched
from launcher.supervisor.watching import EPOLLOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.supervisor.watching import Watcher

READ_MAX = 8192  # bytes; what one read adds, with its origin at each line, is all that waits here
LINE_MAX = PIPE_BUF - 256  # bytes; with its origin it is one piece as a rule
DRAIN_MAX = 1048576  # bytes of one that has ended; the largest pipe has that many
ORPHANED_MAX = 64  # pipes of commands that have ended, kept for our stdout and stderr to take what is in them
LAST_PATIENCE = 0.5  # seconds for stdout and stderr to take the rest when the launcher ends


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a line."""

    service: str
    slot: int
    pid: int
    stream: str
    """`stdout` or `stderr`."""


class Sink:
    """Our stdout or stderr, and what it has not taken yet: blocks of whole lines, none longer than PIPE_BUF."""

    def __init__(self, fd: int) -> None:
        self._given = fd
        self.fd = open_nonblocking(fd)
        self.blocks: deque[bytes] = deque()

    def add(self, line: bytes) -> None:
        """Add a line."""
        if self.blocks and len(self.blocks[-1]) + len(line) <= PIPE_BUF:
            self.blocks[-1] += line
        else:
            self.blocks.append(line)

    def flush(self) -> bool:
        """Write what is taken without waiting; return whether that was all."""
        while self.blocks:
            try:
                if not self._takes_now(0):
                    return False
                written = os.write(self.fd, self.blocks[0])
            except BlockingIOError:
                return False
            except OSError:  # closed, or full: there is nobody to tell
                self.blocks.clear()
                return True
            block = self.blocks.popleft()
            if written < len(block):  # a terminal
                self.blocks.appendleft(block[written:])
        return True

    def wait(self, seconds: float) -> None:
        """Wait until it takes something."""
        self._poll(seconds)

    def _takes_now(self, seconds: float) -> bool:
        return self.fd != self._given or self._poll(seconds)

    def _poll(self, seconds: float) -> bool:
        poll = unpatched("select").poll()
        poll.register(self.fd, POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Close what was opened here."""
        if self.fd != self._given:
            os.close(self.fd)


class Stream:
    """A pipe that a command writes to, and the beginning of a line whose end has not come."""

    def __init__(self, fd: int, origin: Origin, sink: Sink) -> None:
        self.fd, self.origin, self.sink = fd, origin, sink
        self.rest = b""

    def read(self) -> bytes | None:
        """Return what there is, at most READ_MAX, b"" at the end, None if nothing is there now."""
        try:
            return os.read(self.fd, READ_MAX)
        except BlockingIOError:
            return None

    def lines(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes, without their ends; a line that goes on for too long counts as one."""
        *whole, rest = (self.rest + data).split(b"\n")
        yield from whole
        while len(rest) > LINE_MAX:
            end = _cut(rest, LINE_MAX)
            yield rest[:end]
            rest = rest[end:]
        self.rest = rest


class Relay:
    """All streams of a launcher.

    Parameters: the loop; how a line is formatted, given its origin and the line without its end; where the lines
    of `stdout` and of `stderr` go.
    """

    def __init__(self, loop: Watcher, formatted: Callable[[Origin, bytes], bytes], sinks: dict[str, Sink]) -> None:
        self._loop, self._formatted, self._sinks = loop, formatted, sinks
        self._streams: dict[int, Stream] = {}
        self._of_command: dict[int, list[Stream]] = {}  # by PID, also of those that are closed
        self._orphaned: dict[Stream, None] = {}  # of commands that have ended; what these left behind may write on
        self._clogged: set[Sink] = set()

    def take(self, fd: int, origin: Origin) -> None:
        """Relay what is read from a pipe, until nobody can write to it any more."""
        os.set_blocking(fd, False)
        stream = self._streams[fd] = Stream(fd, origin, self._sinks[origin.stream])
        self._of_command.setdefault(origin.pid, []).append(stream)
        if stream.sink not in self._clogged:
            self._watch(stream)

    def ended(self, pid: int) -> int:
        """A command has ended: relay what is left of it; return of how many pipes the content was dropped."""
        for stream in self._of_command.pop(pid, ()):
            if self._is_open(stream):
                self._drain(stream)
            if self._is_open(stream):
                self._orphaned[stream] = None
        waiting = [each for each in self._orphaned if each.sink in self._clogged]
        dropped = waiting[: max(len(waiting) - ORPHANED_MAX, 0)]
        for stream in dropped:
            self._drop(stream)
        return len(dropped)

    def finish(self, patience: float = LAST_PATIENCE) -> None:
        """Relay what is left of everybody, for so many seconds at most."""
        deadline = monotonic() + patience
        for stream in list(self._streams.values()):
            while True:
                self._drain(stream)
                if stream.sink.flush() or monotonic() >= deadline:
                    break
                stream.sink.wait(deadline - monotonic())
        self.close()

    def close(self) -> None:
        """Close all that is ours: at the end, and in a forked process."""
        for fd in self._streams:
            os.close(fd)
        self._streams.clear()
        for sink in self._sinks.values():
            sink.close()

    def _read(self, stream: Stream) -> bool:
        """Relay one piece; return whether there may be more now."""
        data = stream.read()
        if data is None:
            return False
        if data:
            self._write(stream, stream.lines(data))
            return True
        self._end_line(stream)
        self._drop(stream)
        return False

    def _drain(self, stream: Stream) -> None:
        most = DRAIN_MAX // READ_MAX
        while most and stream.sink.flush() and self._read(stream):
            most -= 1
        if stream.sink.flush():
            self._end_line(stream)

    def _end_line(self, stream: Stream) -> None:
        if stream.rest:
            rest, stream.rest = stream.rest, b""
            self._write(stream, iter([rest]))

    def _write(self, stream: Stream, lines: Iterator[bytes]) -> None:
        for line in lines:
            for piece in self._pieces(stream.origin, line):
                stream.sink.add(piece)
        if not stream.sink.flush() and stream.sink not in self._clogged:
            self._clog(stream.sink)

    def _pieces(self, origin: Origin, line: bytes) -> Iterator[bytes]:
        """Format a line; what is too long for one piece becomes several."""
        formatted = self._formatted(origin, line)
        if len(formatted) <= PIPE_BUF or len(line) < 2:  # noqa: PLR2004 - nothing left to cut
            yield formatted
            return
        half = _cut(line, (len(line) + 1) // 2)
        yield from self._pieces(origin, line[:half])
        yield from self._pieces(origin, line[half:])

    # While a sink takes nothing

    def _clog(self, sink: Sink) -> None:
        self._clogged.add(sink)
        for stream in self._of(sink):
            self._loop.unwatch(stream.fd)
        self._loop.watch(sink.fd, partial(self._unclog, sink), EPOLLOUT)

    def _unclog(self, sink: Sink) -> None:
        if not sink.flush():
            return
        self._loop.unwatch(sink.fd)
        self._clogged.discard(sink)
        for stream in self._of(sink):
            self._watch(stream)

    def _of(self, sink: Sink) -> list[Stream]:
        return [stream for stream in self._streams.values() if stream.sink is sink]

    def _watch(self, stream: Stream) -> None:
        self._loop.watch(stream.fd, lambda: self._on_readable(stream))

    def _on_readable(self, stream: Stream) -> None:
        self._read(stream)

    def _drop(self, stream: Stream) -> None:
        if stream.sink not in self._clogged:
            self._loop.unwatch(stream.fd)
        del self._streams[stream.fd]
        self._orphaned.pop(stream, None)
        os.close(stream.fd)

    def _is_open(self, stream: Stream) -> bool:
        return self._streams.get(stream.fd) is stream


def _cut(data: bytes, most: int) -> int:
    """Return where to cut, at most there and not within a character if this is UTF-8."""
    for end in range(most, max(most - 4, 1), -1):
        if data[end : end + 1] < b"\x80" or data[end : end + 1] >= b"\xc0":
            return end
    return most
