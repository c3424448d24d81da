"""Importing what the user named, and telling a misspelt name from an application that fails.

A name that does not exist is the user's mistake: one line, with the nearest name that does.  An exception out of the
application's own code is the application's: its traceback goes to stderr, without our frames and importlib's, and one
line follows.  `SystemExit` at import counts as such an exception; it must not end the launcher in silence.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.errors import ConfigError
from launcher.spelling import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType, TracebackType

# Files whose frames in a traceback tell nothing of the application.
_OURS = {__file__, f"{os.path.dirname(__file__)}/hooks.py", importlib.__file__}  # noqa: PTH120 - strings, as in frames
NOT_A_FILE = "; MODULE is a module's name, not its file's"


def import_from_here() -> None:
    """Let modules in the working directory win, unless Python was started to ignore it."""
    if sys.flags.isolated or sys.flags.safe_path:
        return
    with suppress(OSError):  # a working directory that was removed
        here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
        if sys.path[:1] not in ([""], [here]):
            sys.path.insert(0, here)


def import_module(name: str) -> ModuleType:
    """Import a module of the application.  Raises `ConfigError` with the reason."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as err:
        # A missing import inside the application has a frame of the application.
        if list(_frames(err.__traceback__)):
            raise failed(f"importing {name}", err) from None
        raise ConfigError(_no_module(name, err.name)) from None
    except (Exception, SystemExit) as err:  # noqa: BLE001 - the border to the application's code
        raise failed(f"importing {name}", err) from None


def attempt(name: str) -> ModuleType | ConfigError:
    """Import a module, or return why that failed: of many targets in it, each shall say so."""
    try:
        return import_module(name)
    except ConfigError as err:
        return err


def find(module: ModuleType | ConfigError, attr: str) -> object:
    """Return what the dotted `attr` names in `module`.  Raises `ConfigError`, the one given if it is one."""
    if isinstance(module, ConfigError):
        raise module
    found: object = module
    for name in attr.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ConfigError(_missing(found, name)) from None
        except (Exception, SystemExit) as err:  # noqa: BLE001 - the application's own __getattr__
            raise failed(f"importing {attr} from {module.__name__}", err) from None
    return found


def _missing(owner: object, name: str) -> str:
    what = f"module {owner.__name__}" if inspect.ismodule(owner) else f"{type(owner).__name__} object"
    if isinstance(owner, type):
        what = f"class {owner.__name__}"
    return f"{what} has no attribute {name}{did_you_mean(name, dir(owner))}"


def _no_module(wanted: str, missing: str | None) -> str:
    parent, _, name = (missing or wanted).rpartition(".")
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else [sys.path[0]]
    known = [module.name for module in pkgutil.iter_modules(path)] if path else []
    where = parent or f"{_here()} or among the installed packages"
    hint = NOT_A_FILE if wanted.endswith(".py") else did_you_mean(name, known)
    return f"no module named {name} in {where}{hint}"


def _here() -> str:
    try:
        os.getcwd()  # noqa: PTH109 - only whether it is there
    except OSError:
        return "the working directory, which was removed,"
    return sys.path[0] or "the working directory"


def failed(doing: str, err: BaseException) -> ConfigError:
    """Print the application's traceback and return the one line that goes with it."""
    _print_traceback(err)
    said = err.msg if isinstance(err, SyntaxError) else _text(err)
    reason = f"{type(err).__name__}: {shown(said)}" if said else type(err).__name__
    return ConfigError(f"{doing} failed: {reason}{_place(err)}")


def _text(err: BaseException) -> str:
    try:
        return str(err).partition("\n")[0]
    except Exception:  # noqa: BLE001 - an exception of the application whose text cannot be had
        return ""


def _place(err: BaseException) -> str:
    if isinstance(err, SyntaxError) and err.filename:
        return f" ({err.filename}:{err.lineno})"
    last = next(reversed([*_frames(err.__traceback__)]), None)
    return f" ({last.tb_frame.f_code.co_filename}:{last.tb_lineno})" if last else ""


def _frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        if not _is_ours(tb.tb_frame.f_code.co_filename):
            yield tb
        tb = tb.tb_next


def _is_ours(filename: str) -> bool:
    return filename in _OURS or filename.startswith("<frozen importlib")


def _print_traceback(err: BaseException) -> None:
    report = traceback.TracebackException.from_exception(err)
    chain: list[traceback.TracebackException | None] = [report]
    while chain:
        if (part := chain.pop()) is not None:
            part.stack[:] = [frame for frame in part.stack if not _is_ours(frame.filename)]
            chain += [part.__cause__, part.__context__]
    with suppress(OSError, ValueError, AttributeError):  # stderr is closed, or there is none
        sys.stderr.write("".join(report.format()))
        sys.stderr.flush()
