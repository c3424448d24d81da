"""What several unit tests need."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from launcher import config
from launcher.errors import ConfigError
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


@pytest.fixture
def clean_environment(monkeypatch):
    """Hide the tester's own configuration."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def etc(tmp_path):
    """A folder in place of /etc/launcher."""
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def load(clean_environment, etc):
    """Read and check a configuration."""
    return lambda *argv: config.load([str(arg) for arg in argv], etc=etc)


@pytest.fixture
def write(tmp_path):
    """Write a config file."""

    def write(text, name="app.conf"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def problems(load):
    """Return the lines that a configuration is refused with."""

    def problems(*argv):
        with pytest.raises(ConfigError) as raised:
            load(*argv)
        assert raised.value.exit_code == 78
        return str(raised.value).splitlines()

    return problems
