"""How a command reaches the supervisor.  The healthcheck runs on it, so it imports next to nothing."""

from __future__ import annotations

import _socket
import os
import sys
from time import monotonic, sleep

from launcher.errors import ControlError
from launcher.supervisor.places import FILE_NAME, abstract_name, folders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

PATIENCE = 5.0  # seconds
RETRY = 0.02  # seconds; while the supervisor has more connections than it could accept yet
REPLY_MAX = 1 << 24  # bytes
NOBODY = "no supervisor answers here; is `launcher run` up?"
INTERRUPTED, UNREAD = 130, 141  # as in a shell: 128 + SIGINT, 128 + SIGPIPE
CREDENTIALS = 12  # bytes of struct ucred: pid, uid, gid; unix(7)


def run(command: Callable[[list[str], str], int], argv: Sequence[str], usage: str) -> int:
    """Run a command with its words and the folder that `--runtime-dir` names; return the exit code.

    The command raises `ControlError` for what cannot be had, and `UsageError` for words that make no sense.
    """
    from launcher.errors import LauncherError

    words, runtime_dir = arguments(argv)
    if words in (["--help"], ["-h"]):
        print(usage)
        return 0
    try:
        code = command(words, runtime_dir)
        sys.stdout.flush()
    except LauncherError as error:
        name = usage.split()[2]
        print(f"launcher: error: {name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return UNREAD
    return code


def arguments(argv: Sequence[str]) -> tuple[list[str], str]:
    """Take `--runtime-dir FOLDER` out of the words; where it is not said, the environment may."""
    words = [part for word in argv for part in (word.split("=", 1) if word.startswith("--runtime-dir=") else [word])]
    runtime_dir = os.environ.get("OS_LAUNCHER__RUNTIME_DIR", "")
    if "--runtime-dir" in words[:-1]:
        at = words.index("--runtime-dir")
        runtime_dir = words[at + 1]
        del words[at : at + 2]
    return words, runtime_dir


def ask(request: dict[str, Any], runtime_dir: str, patience: float | None = PATIENCE) -> dict[str, Any]:
    """Return the reply, which may be an error; wait for it so many seconds, or for ever.  Raises `ControlError`."""
    import json

    said = exchange(json.dumps(request).encode(), runtime_dir, patience)
    try:
        reply: dict[str, Any] = json.loads(said)
    except ValueError:
        raise ControlError("what the supervisor answered makes no sense") from None
    return reply


def told(request: dict[str, Any], runtime_dir: str, patience: float | None = PATIENCE) -> dict[str, Any]:
    """Return the reply if it is none of an error.  Raises `ControlError`."""
    reply = ask(request, runtime_dir, patience)
    if "error" in reply:
        from launcher.spelling import brief

        raise ControlError(brief(str(reply["error"])))
    return reply


def exchange(request: bytes, runtime_dir: str, patience: float | None = PATIENCE) -> bytes:
    """Send a line and return the line that comes back.  Raises `ControlError`."""
    client = _connect(runtime_dir)
    try:
        client.settimeout(patience)
        client.send(request + b"\n")
        reply = b""
        while not reply.endswith(b"\n") and len(reply) < REPLY_MAX and (data := client.recv(65536)):
            reply += data
    except TimeoutError:
        raise ControlError(f"the supervisor did not answer within {PATIENCE:.0f} s") from None
    except OSError:
        reply = b""
    finally:
        owner = _peer(client)[1]
        client.close()
    if not reply:
        raise ControlError(_theirs(owner) if _is_foreign(owner) else "the supervisor went away before it answered")
    return reply


def _connect(runtime_dir: str) -> _socket.socket:
    foreign = ""
    for address in (*(f"{folder}/{FILE_NAME}" for folder in folders(runtime_dir)), abstract_name(runtime_dir)):
        try:
            return _connected(address)
        except PermissionError:
            foreign = foreign or _theirs(_owner(address))
        except OSError:
            continue
    # Where the configuration, which is not read here, has put it: only PID 1's is surely this container's.
    for address in () if runtime_dir else _known_to_the_kernel():
        try:
            client = _connected(address)
        except OSError:
            continue
        if _peer(client)[0] == 1:
            return client
        client.close()
    raise ControlError(foreign or NOBODY)


def _connected(address: str) -> _socket.socket:
    """Connect, and wait while the queue of the listener is full.  Raises OSError."""
    client = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    client.settimeout(PATIENCE)
    deadline = monotonic() + PATIENCE
    while True:
        try:
            client.connect(address)
        except BlockingIOError:
            if monotonic() < deadline:
                sleep(RETRY)
                continue
            client.close()
            raise
        except OSError:
            client.close()
            raise
        return client


def _peer(client: _socket.socket) -> tuple[int, int]:
    """PID and UID of who listens."""
    credentials = client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, CREDENTIALS)
    return int.from_bytes(credentials[:4], sys.byteorder), int.from_bytes(credentials[4:8], sys.byteorder)


def _is_foreign(owner: int) -> bool:
    return os.geteuid() not in (0, owner)


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid  # noqa: PTH116 - pathlib costs more than all the rest
    except OSError:
        return None


def _theirs(owner: int | None) -> str:
    who = "another user" if owner is None else f"UID {owner}"
    return f"the supervisor here is run by {who}, and listens to nobody else but root"


def _known_to_the_kernel() -> Iterator[str]:
    """Yield the control sockets in this network namespace that PID 1 may have; proc(5), /proc/net/unix.

    Others have theirs here too where the network is shared: to knock there would wake who shall sleep.
    """
    try:
        with open("/proc/net/unix", "rb") as table:  # noqa: PTH123 - pathlib costs more than all the rest
            rows = [line.split() for line in table if b"launcher" in line]
    except OSError:
        return
    ours = _inodes_of_pid_1()
    for inode, path in ((row[-2].decode(), row[-1].decode(errors="surrogateescape")) for row in rows):
        if ours is not None and inode not in ours:
            continue
        if path.endswith(f"/{FILE_NAME}"):
            yield path
        elif path.startswith("@launcher-"):
            yield f"\0{path[1:]}"


def _inodes_of_pid_1() -> set[str] | None:
    """Return the inodes of its open sockets, or None where they may not be read."""
    try:
        fds = os.listdir("/proc/1/fd")  # noqa: PTH208 - pathlib costs more than all the rest
    except OSError:
        return None
    links = [_link(f"/proc/1/fd/{fd}") for fd in fds]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - pathlib costs more than all the rest
    except OSError:  # closed meanwhile
        return ""
