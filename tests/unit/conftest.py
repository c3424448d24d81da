"""What several unit tests need."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.unit.wsgi_worker import PATIENCE as CLIENT_PATIENCE
from tests.unit.wsgi_worker import Worker, listening

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 30  # seconds; for what takes a fraction of one


@pytest.fixture
def python() -> Callable[..., str]:
    """Run code in a Python of its own, where signals and forks disturb nobody; return what it printed."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout

    return run


@pytest.fixture
def listener():
    with listening() as sock:
        yield sock


@pytest.fixture(params=["eventlet", "threading"])
def start(tmp_path, request):
    """Start WSGI servers; all of them must end well."""
    workers = []

    def begin(*listeners, **options):
        workers.append(Worker(request.param, tmp_path / "log", listeners, **options))
        return workers[-1]

    begin.backend = request.param
    yield begin
    for worker in workers:
        worker.close()


@pytest.fixture
def connect():
    """Make clients of theirs; they are closed at the end, unless a test did it."""
    clients = []

    def to(listener):
        client = socket.socket(listener.family)
        clients.append(client)
        client.settimeout(CLIENT_PATIENCE)
        client.connect(listener.getsockname())
        return client

    yield to
    for client in clients:
        client.close()
