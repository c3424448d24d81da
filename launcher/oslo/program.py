"""Running an unmodified program with `oslo_service` replaced: `python -m launcher.oslo PROGRAM`, `launcher run --oslo`.

The process becomes that program: the same `__main__`, `sys.argv` and `sys.path[0]` as if Python had been started with
it, patched by eventlet or not as the program itself does.  Its launchers are ours, so it is the supervisor, and forks
its workers itself.

Guarantees: a TERM that comes before the program has a launcher ends it with 143, as PID 1 too, where the kernel would
ignore it; what is wrong with PROGRAM is one line, and an exit code of its own; threads that do not end hold a program
that was stopped up for `PATIENCE`, and then it ends with 1.
"""

from __future__ import annotations

import atexit
import builtins
import faulthandler
import io
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from signal import SIG_DFL, SIGTERM, getsignal, signal
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from launcher import oslo
from launcher.errors import LauncherError, UsageError
from launcher.spelling import shown
from launcher.supervisor import reaper, signals
from launcher.supervisor.log import open_missing_stdio
from launcher.supervisor.sharing import BIRTHS, adopts
from launcher.supervisor.spawn import flush

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
usage: {prog} PROGRAM [ARGUMENT...]

Run a program that is written for oslo.service with our launchers in their place.  PROGRAM is the name of a console
script on PATH, a file, or a module.  Exit codes: the program's own; 143 for a TERM before it has launched anything;
127 no such program, 126 no Python program, 2 usage, 78 oslo_service was imported already."""
TERMINATED = 128 + SIGTERM
PATIENCE = 5.0  # seconds that the program's other threads have to end after its main code has, when it was stopped


class NotFoundError(LauncherError):
    """There is no such program."""

    exit_code = 127


class NotPythonError(LauncherError):
    """It is something else than a program in Python."""

    exit_code = 126


def main(arguments: Sequence[str], prog: str) -> int:
    """Run a program; return the exit code if it does not end by itself.  Signals may be blocked until here."""
    open_missing_stdio()
    if getsignal(SIGTERM) == SIG_DFL and os.getpid() == 1:  # else the default does the same
        signal(SIGTERM, _terminated)
    signals.restore(())
    if arguments and arguments[0] in {"-h", "--help"}:
        sys.stdout.write(USAGE.format(prog=prog) + "\n")
        return 0
    try:
        if not arguments:
            raise UsageError(f"no program to run (see {prog} --help)")
        if adopts():
            BIRTHS.watch()
        oslo.install()  # first: to look for a module imports the packages around it
        begin = _find(arguments[0])
        if os.getpid() == 1:
            atexit.register(_sweep)
        sys.argv[1:] = arguments[1:]
        try:
            begin()
        finally:
            _limit_the_end()
    except LauncherError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"launcher: error: {line}\n")
        return error.exit_code
    return 0


def _terminated(*_: object) -> NoReturn:
    flush()
    os._exit(TERMINATED)


def _limit_the_end() -> None:
    """Python waits for threads that are no daemons; once a launcher was stopped, it does not do so for ever."""
    service = sys.modules.get("launcher.oslo.service")
    if service is not None and service.stopped.is_set():
        faulthandler.dump_traceback_later(PATIENCE, exit=True)


def _sweep() -> None:
    if os.getpid() == 1:  # and no child that was forked off it
        reaper.sweep()


def _find(name: str) -> _Script | _Module:
    """Return what PROGRAM means.

    Raises `NotFoundError` and `NotPythonError`, and what a package raises that has to be imported to find it.
    """
    path = shutil.which(name) or name
    if Path(path).is_file():
        return _Script(path, _source(path))
    if os.sep not in name and _is_module(name):
        return _Module(name)
    where = "file" if os.sep in name else "program on PATH, and no such file or module"
    raise NotFoundError(f"{shown(name)}: there is no such {where}")


def _is_module(name: str) -> bool:
    _search_in("")
    try:
        spec = find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None and find_spec(f"{name}.__main__") is None:
            raise NotPythonError(f"{shown(name)} is a package without __main__; name a module in it")
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):  # it, or a package around it
            return False
        raise
    except ValueError:  # no name at all
        return False
    return spec is not None


def _source(path: str) -> bytes:
    try:
        with io.open_code(str(Path(path).absolute())) as file:
            source = file.read()
    except OSError as error:
        raise NotPythonError(f"{shown(path)} cannot be read: {(error.strerror or str(error)).lower()}") from None
    first, _, second = source.partition(b"\n")
    by_shell = second.startswith(b"'''exec'")  # pip's way around a path that is too long for the kernel
    if b"\0" in source or (first.startswith(b"#!") and b"python" not in first and not by_shell):
        raise NotPythonError(f"{shown(path)} is no Python program; launcher exec runs any other")
    return source


def _search_in(folder: str) -> None:
    """Let the first place where modules are looked for be this one, as Python does."""
    if not (sys.flags.isolated or sys.flags.safe_path):
        sys.path[0] = folder


class _Script:
    """A file."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source

    def __call__(self) -> None:
        """Become this program."""
        sys.argv[0] = self._path
        _search_in(str(Path(self._path).resolve().parent))
        program = ModuleType("__main__")
        vars(program).update(__file__=self._path, __builtins__=builtins, __spec__=None)
        sys.modules["__main__"] = program
        code = compile(self._source, self._path, "exec", dont_inherit=True)
        exec(code, vars(program))  # noqa: S102 - it is what we are here for


class _Module:
    """A module or a package, as with `python -m`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> None:
        """Become this program."""
        import runpy

        _search_in(str(Path.cwd()))
        runpy.run_module(self._name, run_name="__main__", alter_sys=True)
