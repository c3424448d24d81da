"""A quick start: what is put off, and for whom it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.functional.program import Program

LOOKS = """
{imports}
import sys
note("in mold", "eventlet.support.greendns" in sys.modules)
class Looks:
    def start(self): note("in worker", "eventlet.support.greendns" in sys.modules, __import__("gc").isenabled())
    def stop(self): pass
    def wait(self): pass
    def reset(self): pass
"""


@pytest.mark.parametrize(("imports", "shared"), [("import json", False), ("import urllib.request", True)])
def test_the_resolver_is_shared_if_the_application_can_be_a_client(
    program: Program, imports: str, shared: bool
) -> None:
    program.serve(LOOKS.format(imports=imports), services="app:Looks=2", listen=None)
    assert program.notes() == ["in mold False", *[f"in worker {shared} True"] * 2]
    assert program.stop() == 0
