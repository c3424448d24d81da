"""The tests that the oslo.service wheel ships, found without importing them: an import would patch this process."""

from __future__ import annotations

import ast
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import distribution
from importlib.util import spec_from_file_location
from pathlib import Path

from launcher import oslo

PACKAGE = "oslo_service.tests"
# What upstream, too, runs without eventlet (OSLO_SERVICE_SKIP_EVENTLET).
UNPATCHED = ("functional.", "backend.threading.")


def folder() -> Path:
    """Return where they are."""
    return Path(str(distribution("oslo.service").locate_file(PACKAGE.replace(".", "/"))))


class Finder(MetaPathFinder):
    """Finds the tests; all else of `oslo_service` is ours."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != PACKAGE:
            return None
        return spec_from_file_location(fullname, folder() / "__init__.py", submodule_search_locations=[str(folder())])


def install() -> None:
    """Have this process import the tests of the wheel, and ours for what they test."""
    oslo.install()
    sys.meta_path.insert(0, Finder())


def tests() -> list[str]:
    """Return the names of all tests: `MODULE.CLASS.TEST`, without that of the package."""
    return [name for path in sorted(folder().rglob("test_*.py")) for name in _tests_in(path)]


def _tests_in(path: Path) -> list[str]:
    module = ".".join(path.relative_to(folder()).with_suffix("").parts)
    classes = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}
    return [f"{module}.{name}.{test}" for name in classes for test in sorted(_tests_of(name, classes))]


def _tests_of(name: str, classes: dict[str, ast.ClassDef]) -> set[str]:
    """Return a test case's own tests and those that it inherits from a class of the same module."""
    node = classes[name]
    own = {each.name for each in node.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test")}
    bases = [ast.unparse(base) for base in node.bases]
    inherited = [_tests_of(base, classes) for base in bases if base in classes]
    return own.union(*inherited) if _is_case(name, classes) else set()


def _is_case(name: str, classes: dict[str, ast.ClassDef]) -> bool:
    if name not in classes:
        return name.endswith("TestCase")
    return any(_is_case(ast.unparse(base), classes) for base in classes[name].bases)
