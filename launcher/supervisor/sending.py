"""Signals to our children, who may have become another user: without CAP_KILL the kernel lets us signal none such."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.supervisor.signals import name_of

if TYPE_CHECKING:
    from launcher.supervisor.log import Log


def send(pid: int, signum: int, log: Log) -> bool:
    """Send a signal to a child that was not reaped yet; return whether it was permitted, and say so if not."""
    try:
        os.kill(pid, signum)
    except PermissionError:
        log.say("warning", f"not permitted to send {name_of(signum)} to {pid}, which has another user")
        return False
    return True
