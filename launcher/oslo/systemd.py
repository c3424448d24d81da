"""oslo.service's `systemd`: readiness, said or waited for, at the socket of sd_notify(3).

`ServiceLauncher` and `ProcessLauncher` say it themselves, and take NOTIFY_SOCKET out of the environment: what a service
says then goes nowhere.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing

from launcher.supervisor.superior import NOTIFY_SOCKET

LOG = logging.getLogger(__name__)
READY = b"READY=1"
IS_READY, SAYS_OTHERWISE, IS_SILENT = range(3)


def notify() -> None:
    """Say that this process is ready, to whoever wants to know; it is not waited for."""
    _sd_notify(READY)


def notify_once() -> None:
    """Say so, and take the address out of the environment if that was heard."""
    if _sd_notify(READY):
        os.environ.pop(NOTIFY_SOCKET, None)


def onready(notify_socket: str, timeout: float | None) -> int:
    """Wait at a new socket for somebody to say it; 0: it was said, 1: something else was, 2: nothing in `timeout` s."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ear:
        ear.settimeout(timeout)
        ear.bind(_abstractify(notify_socket))
        try:
            heard = ear.recv(512)
        except TimeoutError:
            return IS_SILENT
    return IS_READY if heard == READY else SAYS_OTHERWISE


def _sd_notify(message: bytes) -> bool:
    address = os.getenv(NOTIFY_SOCKET)
    if not address:
        return False
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) as mouth:
        try:
            mouth.connect(_abstractify(address))
            mouth.sendall(message)
        except OSError:
            LOG.debug("%s is not heard at %s", message.decode(), address, exc_info=True)
            return False
    return True


def _abstractify(socket_name: str) -> str:
    return f"\0{socket_name[1:]}" if socket_name.startswith("@") else socket_name
