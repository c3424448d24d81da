"""oslo.service over our own classes: a program that imports `oslo_service` gets this package in its place.

`install()` puts it there, before anything imports `oslo_service` (oslo.messaging does); afterwards `oslo_service.X` and
`launcher.oslo.X` are one module, whichever name it is imported by, whether or not oslo.service is installed.  A module
is imported when it is asked for, so that nobody gets eventlet, or WebOb, who does not want it.

The modules are adapters: names, signatures, options and exceptions are oslo.service's, what is done is done elsewhere
in `launcher`.  Where something differs on purpose, docs/oslo.md says why.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import TYPE_CHECKING

from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

THEIRS = "oslo_service"


def install() -> None:
    """Have `import oslo_service` and the modules in it yield ours from now on; again is no harm.

    Raises `ConfigError` if something has imported the original already: its classes are in use then.
    """
    ours = sys.modules[__name__]
    taken = sys.modules.get(THEIRS, ours)
    if taken is not ours:
        where = getattr(taken, "__file__", None) or "somewhere"
        raise ConfigError(
            f"oslo_service was imported already, from {where}; call launcher.oslo.install() before that, "
            "or start the program by `launcher run --oslo PROGRAM`"
        )
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
    import_module(THEIRS)


class Finder(MetaPathFinder):
    """Finds our module by the name of theirs; those that we have not got are for the other finders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Do as the import system asks."""
        package, _, rest = fullname.partition(".")
        if package != THEIRS:
            return None
        ours = f"{__name__}.{rest}" if rest else __name__
        return ModuleSpec(fullname, Alias(ours)) if _exists(ours) else None


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name and name.startswith(f"{error.name}."):  # the package that it would be in
            return False
        raise


class Alias(Loader):
    """Loads a module that has another name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        """Return the module itself."""
        module = import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give it its own specification back, which the import system has replaced by the alias's."""
        module.__spec__ = self._spec
