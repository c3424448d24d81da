"""The errors that end or refuse something, each with the exit code that it stands for."""

from __future__ import annotations

import errno
import os

EXIT_USAGE = 2
EXIT_SOFTWARE = 70  # sysexits.h EX_SOFTWARE
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG
MENDS = {
    errno.EMFILE: ": raise the limit (ulimit -n)",
    errno.EAGAIN: ": raise the limit of processes (ulimit -u, or the pids of the container)",
}


class LauncherError(Exception):
    """Something a user can mend.  `str()` says what, where, and what to do about it.

    A message may have several lines: one a problem.
    """

    exit_code = EXIT_SOFTWARE


class UsageError(LauncherError):
    """The command line makes no sense."""

    exit_code = EXIT_USAGE


class ConfigError(LauncherError):
    """The configuration or the application can't be loaded."""

    exit_code = EXIT_CONFIG


class ControlError(LauncherError):
    """The supervisor could not be asked, or does not do what it was asked for."""

    exit_code = 1


def why(number: int) -> str:
    """Return for people what an errno says, and what they can do about it where that is a limit of theirs."""
    return os.strerror(number).lower() + MENDS.get(number, "")
