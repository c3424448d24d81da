"""Give this process a state that a test asks for, then become another program: the same PID, nothing else of it left.

Run with `python -I -S prepare.py WORD... -- PATH ARGUMENT...`; each word is `name=value`, done in order.
Arguments and environment go through byte for byte, which `os.execve` could not promise.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path


def words_of(name: str) -> list[bytes]:
    """What the kernel was given, before Python touched it."""
    return Path(f"/proc/self/{name}").read_bytes().split(b"\0")[:-1]


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def block(text: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers(text))


def ignore(text: str) -> None:
    for signum in numbers(text):
        signal.signal(signum, signal.SIG_IGN)


def close(text: str) -> None:
    for fd in numbers(text):
        os.close(fd)


def limit(text: str) -> None:
    """NAME:SOFT:HARD."""
    name, soft, hard = text.split(":")
    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(soft), int(hard)))


def controlling(path: str) -> None:
    """Lead a session on a terminal."""
    os.setsid()
    os.close(os.open(path, os.O_RDWR))


def redirect(text: str) -> None:
    """FD:PATH."""
    number, _, path = text.partition(":")
    fd = os.open(path, os.O_RDWR)
    if fd != int(number):
        os.dup2(fd, int(number))
        os.close(fd)


def write(text: str) -> None:
    """PATH:TEXT, for what is set through /proc."""
    path, _, value = text.partition(":")
    Path(path).write_text(value)


def mount(text: str) -> None:
    """An empty file system over a folder of this mount namespace."""
    if ctypes.CDLL(None, use_errno=True).mount(b"none", text.encode(), b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")


def read_only(path: str) -> None:
    """Make a mounted file system read-only in this mount namespace."""
    remount_bind_read_only = 32 | 4096 | 1
    if ctypes.CDLL(None, use_errno=True).mount(b"none", path.encode(), None, remount_bind_read_only, None):
        raise OSError(ctypes.get_errno(), "mount")


def move(text: str) -> None:
    """OLD:NEW, of a descriptor."""
    old, new = map(int, text.split(":"))
    if old != new:
        os.dup2(old, new)
        os.close(old)


def remove_cwd(_: str) -> None:
    os.rmdir(os.getcwd())  # noqa: PTH106,PTH109 - no path, the folder we are in


DO = {
    "affinity": lambda text: os.sched_setaffinity(0, numbers(text)),
    "block": block,
    "close": close,
    "controlling": controlling,
    "ignore": ignore,
    "limit": limit,
    "mount": mount,
    "move": move,
    "nice": lambda text: os.nice(int(text)),
    "read-only": read_only,
    "redirect": redirect,
    "remove-cwd": remove_cwd,
    "umask": lambda text: os.umask(int(text, 8)),
    "write": write,
}


def c_array(words: list[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(words) + 1))(*words, None)


def main() -> None:
    environment = words_of("environ")
    command = words_of("cmdline")
    command = command[command.index(b"--") + 1 :]
    for signum in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):  # what Python has changed
        signal.signal(signum, signal.SIG_DFL)
    for word in sys.argv[1 : sys.argv.index("--")]:
        name, _, value = word.partition("=")
        if name == "entry":
            environment.append(value.encode())
        elif name == "listen-pid":
            environment.append(b"LISTEN_PID=%d" % os.getpid())
        else:
            DO[name](value)
    ctypes.CDLL(None).execve(command[0], c_array(command), c_array(environment))
    raise SystemExit(f"prepare: {command[0]!r} cannot be executed")


main()
