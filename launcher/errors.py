"""The errors that end or refuse something, each with the exit code that it stands for."""

from __future__ import annotations

import errno

EXIT_USAGE = 2
EXIT_SOFTWARE = 70  # sysexits.h EX_SOFTWARE
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG


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


def explained(what: str, error: OSError) -> str:
    """Return for people what the system did not let us do, and what they can do about it."""
    mend = ": raise the limit (ulimit -n)" if error.errno == errno.EMFILE else ""
    return f"{what}: {(error.strerror or str(error)).lower()}{mend}"
