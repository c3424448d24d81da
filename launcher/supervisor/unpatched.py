"""Standard modules as they were before eventlet replaced parts of them.

A program that calls `ProcessLauncher` may have patched `select` (which loses `epoll`) and `socket`
long before the supervisor runs in it.  In `launcher run` nothing is patched and this is an import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def unpatched(name: str) -> Any:
    """Return the module of that name with its original contents."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is None or not patcher.is_monkey_patched(name):
        return import_module(name)
    return patcher.original(name)
