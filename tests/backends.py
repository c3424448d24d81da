"""On which backends tests run: read off their marks, without running them."""

from __future__ import annotations

import inspect
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    import pytest

ROOT = Path(__file__).parents[1]


def of_folder(folder: Path) -> dict[str, set[str]]:
    """Of each test in the modules of a folder, as `MODULE::NAME`, the backends that its marks name.

    None are named where it runs on the default one, or on none.
    """
    package = ".".join(folder.relative_to(ROOT).parts)
    modules = (import_module(f"{package}.{path.stem}") for path in sorted(folder.glob("test_*.py")))
    return {
        f"{module.__name__.rpartition('.')[2]}::{name}": _backends(marks)
        for module in modules
        for name, marks in _tests(module)
    }


def unaccounted(found: Mapping[str, set[str]], reasons: Mapping[str, Iterable[str]]) -> list[str]:
    """Return what does not add up: each test runs on both backends, or `reasons` say why one is enough.

    They name tests or whole modules, by patterns of fnmatch.
    """
    named = [name for names in reasons.values() for name in names]
    problems = [f"{name}: named twice" for name in set(named) if named.count(name) > 1]
    used = set()
    for test, backends in found.items():
        module = test.partition("::")[0]
        by = {name for name in named if fnmatchcase(test, name) or fnmatchcase(module, name)}
        used |= by
        if len(backends) > 1 and test in by:
            problems.append(f"{test}: runs on both backends, and the table says that one is enough")
        if len(backends) < 2 and not by:
            problems.append(f"{test}: let it run on both backends, or say in the table why one is enough")
    return sorted([*problems, *(f"{name}: there is no such test" for name in set(named) - used)])


def _tests(module: ModuleType) -> Iterator[tuple[str, list[pytest.Mark]]]:
    shared = list(_marks(module))
    for name, found in vars(module).items():
        if name.startswith("test_") and inspect.isfunction(found):
            yield name, [*shared, *_marks(found)]
        elif name.startswith("Test") and isinstance(found, type):
            for method, function in inspect.getmembers(found, inspect.isfunction):
                if method.startswith("test_"):
                    yield f"{name}::{method}", [*shared, *_marks(found), *_marks(function)]


def _marks(owner: object) -> list[pytest.Mark]:
    marks = getattr(owner, "pytestmark", [])
    return [getattr(mark, "mark", mark) for mark in (marks if isinstance(marks, list) else [marks])]


def _backends(marks: Iterable[pytest.Mark]) -> set[str]:
    found: set[str] = set()
    for mark in marks:
        if mark.name != "parametrize":
            continue
        names, values = mark.args[:2]
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        if "backend" in names:
            at = names.index("backend")
            found |= {value if len(names) == 1 else value[at] for value in values}
    return found
