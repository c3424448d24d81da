"""Whether a program of oslo.service runs as a daemon.  Nothing here depends on it: HUP reloads with a terminal, too."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.oslo._signals import SignalHandler


def is_daemon() -> bool:
    """Whether this process has no terminal, or is not in the foreground of it."""
    try:
        return os.getpgrp() != os.tcgetpgrp(sys.stdout.fileno())
    except (io.UnsupportedOperation, AttributeError):  # no file behind it, or none at all
        return True
    except OSError as error:
        return error.errno == errno.ENOTTY


def is_sighup_and_daemon(signo: int, signal_handler: SignalHandler) -> bool:
    """Whether this signal asks for a reload."""
    return signal_handler.is_signal_supported("SIGHUP") and signo == signal.SIGHUP and is_daemon()
