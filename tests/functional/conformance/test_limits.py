"""The init works where little is allowed: limits, rights and files that programs take for granted."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import both_ways

if TYPE_CHECKING:
    from tests.functional.conformance.harness import Starter

WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
AROUND = {
    "few-descriptors": {"prepared": ["limit=NOFILE:10:10"]},
    "no-files": {"prepared": ["limit=FSIZE:0:0"]},
    "no-core": {"prepared": ["limit=CORE:0:0"]},
    "small-stack": {"prepared": ["limit=STACK:262144:262144"]},
    "memory-64-mb": {"prepared": ["limit=AS:67108864:67108864"]},
    "no-locked-memory": {"prepared": ["limit=MEMLOCK:0:0"]},
    "no-queued-signals": {"prepared": ["limit=SIGPENDING:0:0"]},
    "no-priority": {"prepared": ["nice=19"]},
    "umask-777": {"prepared": ["umask=777"]},
    "one-cpu": {"prepared": ["affinity=0"]},
    "no-capabilities": {"outer": WITHOUT_CAPABILITIES},
    "no-new-privileges": {"outer": ("setpriv", "--no-new-privs")},
    "removed-cwd": {"prepared": ["remove-cwd="]},
    "stderr-full": {"prepared": ["redirect=2:/dev/full"]},
    "streams-closed": {"prepared": ["close=0,1,2"]},
    "home-missing": {"environment": {"HOME": "/no/such/folder", "TMPDIR": "/no/such/folder"}},
}


@both_ways
@pytest.mark.parametrize("options", AROUND.values(), ids=AROUND)
def test_works(start: Starter, options: dict[str, object]) -> None:
    folder = start.folder / "cwd"
    folder.mkdir()
    init = start("sh", "-c", "kill -TERM $PPID; while :; do read x || sleep 600; done", cwd=folder, **options)
    assert init.code() == 128 + signal.SIGTERM


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("how", ["mount=/proc", "read-only=/proc"], ids=["no-proc", "read-only-proc"])
def test_works_with_proc(start: Starter, how: str) -> None:
    init = start("sh", "-c", "kill -TERM 1; while :; do read x; done", prepared=[how])
    assert init.code() == 128 + signal.SIGTERM


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_environment_without_proc(start: Starter) -> None:
    init = start("env", prepared=["mount=/proc"], env={"PATH": "/usr/bin:/bin"})
    assert init.rest() == b"PATH=/usr/bin:/bin\n"
