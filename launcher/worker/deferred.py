"""Modules that our dependencies import and hardly ever use: they are imported when somebody asks for something in them.

A third of a cold start went into them.  Who imports one while it is deferred gets a stand-in that imports it on the
first use of an attribute; everybody else, the application above all, gets the real one, as ever.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class StandIn(ModuleType):
    """Looks up every attribute in the real module."""

    def __getattr__(self, name: str) -> Any:
        """Import the module and ask it."""
        if name.startswith("__"):  # the import system's questions
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


class CallsLater(StandIn):
    """Gives out functions that ask the real module once they are called, for who takes them at import."""

    def __getattr__(self, name: str) -> Any:
        """Return a function that calls the one of that name."""
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(self._call, name)

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(import_module(self.__name__), name)(*args, **kwargs)


@contextmanager
def deferred(*names: str, by: type[StandIn] = StandIn) -> Iterator[None]:
    """While this lasts, imports of these modules yield stand-ins, unless they were imported before."""
    stand_ins = {name: by(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
