"""`launcher healthcheck [--ready|--live]`: exit 0 if the supervisor of this container says so, else 1.

A container runtime runs it every few seconds, so it imports next to nothing.
"""

from __future__ import annotations

import _socket
import os
import sys
from typing import TYPE_CHECKING

from launcher.supervisor.places import FILE_NAME, abstract_name, folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMEOUT = 5.0  # seconds
USAGE = "usage: launcher healthcheck [--ready | --live] [--runtime-dir FOLDER]"


def main(argv: Sequence[str]) -> int:
    """Ask the supervisor; return the exit code."""
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--runtime-dir=") else [word])]
    runtime_dir = os.environ.get("OS_LAUNCHER__RUNTIME_DIR", "")
    if "--runtime-dir" in words[:-1]:
        at = words.index("--runtime-dir")
        runtime_dir = words[at + 1]
        del words[at : at + 2]
    match words:
        case [] | ["--ready"]:
            return _ask("ready", runtime_dir)
        case ["--live"]:
            return _ask("live", runtime_dir)
        case ["--help" | "-h"]:
            print(USAGE)
            return 0
    print(f"launcher: error: healthcheck: cannot make sense of {' '.join(words)}; {USAGE}", file=sys.stderr)
    return 2


def _ask(command: str, runtime_dir: str) -> int:
    client = _connect(runtime_dir)
    if client is None:
        print("launcher: error: healthcheck: no supervisor answers here; is `launcher run` up?", file=sys.stderr)
        return 1
    try:
        client.send(b'{"command": "%s"}\n' % command.encode())
        answer = client.recv(4096)
    except OSError:
        answer = b""
    if b'"ok": true' in answer:
        print(f"{command}: yes")
        return 0
    print(f"{command}: no", file=sys.stderr)
    return 1


def _connect(runtime_dir: str) -> _socket.socket | None:
    for address in (*(f"{folder}/{FILE_NAME}" for folder in folders(runtime_dir)), abstract_name()):
        if (client := _connected(address)) is not None:
            return client
    # Where the configuration, which is not read here, has put it: only PID 1's is surely this container's.
    for address in _known_to_the_kernel():
        if (client := _connected(address)) is not None and _peer(client) == 1:
            return client
    return None


def _connected(address: str) -> _socket.socket | None:
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    client.settimeout(TIMEOUT)
    try:
        client.connect(address)
    except OSError:
        client.close()
        return None
    return client


def _peer(client: _socket.socket) -> int:
    """PID of who listens; unix(7), SO_PEERCRED: struct ucred begins with it."""
    return int.from_bytes(client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[:4], sys.byteorder)


def _known_to_the_kernel() -> Iterator[str]:
    """Yield the control sockets in this network namespace; proc(5), /proc/net/unix."""
    try:
        with open("/proc/net/unix", "rb") as table:  # noqa: PTH123 - pathlib costs more than all the rest
            paths = [line.split()[-1].decode(errors="surrogateescape") for line in table if b"launcher" in line]
    except OSError:
        return
    for path in paths:
        if path.endswith(f"/{FILE_NAME}"):
            yield path
        elif path.startswith("@launcher-"):
            yield f"\0{path[1:]}"
