"""oslo.service's `eventlet_backdoor`, for real."""

from __future__ import annotations

import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.functional.scripts import starter
from tests.functional.visitor import Visitor

OPENS = """
import eventlet
import launcher.oslo
launcher.oslo.install()
from oslo_service import eventlet_backdoor, _options

import logging
logging.basicConfig(level="INFO")
conf.register_opts(_options.eventlet_backdoor_opts)
assert eventlet_backdoor.initialize_if_enabled(conf) is None
conf.set_override({option!r}, {value!r})
try:
    note("open", eventlet_backdoor.initialize_if_enabled(conf))
except eventlet_backdoor.EventletBackdoorConfigValueError as error:
    note("refused", error.port_range, error)
    sys.exit(3)
while not (HERE / "done").exists():
    eventlet.sleep(0.01)
"""


@pytest.mark.parametrize("port", ["0", "range"])
def test_a_port_of_the_loopback_address(tmp_path: Path, port: str) -> None:
    with starter(tmp_path) as start, socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        port = f"{first}:{first + 100}" if port == "range" else port
        script = start(OPENS.format(option="backdoor_port", value=port))
        ((_, found),) = script.wait_for_notes("open")
        assert ":" not in port or int(found) > int(port.partition(":")[0])
        where = ("127.0.0.1", int(found))
        with closing(Visitor(where)) as visitor, closing(Visitor(where)) as other:
            assert visitor.greeting.startswith(f"process {script.pid}: ")
            assert visitor.enter("fo(int.__class__)[0] in fo(type)") == "True\n"
            assert "hub" in other.enter("pgt()")
            assert other.enter("exit()") == ""
        script.wait_for_errors(f"Eventlet backdoor listening on {found} for process {script.pid}")
        script.tell("done")
        assert script.end() == 0


def test_a_path(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, starter(tmp_path) as start:
        script = start(OPENS.format(option="backdoor_socket", value=f"{folder}/{{pid}}"))
        ((_, path),) = script.wait_for_notes("open")
        assert path == f"{folder}/{script.pid}"
        with closing(Visitor(Path(path))) as visitor:
            assert visitor.greeting.startswith(f"process {script.pid}: ")
            assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
        script.tell("done")
        assert script.end() == 0


def test_a_port_that_makes_no_sense(tmp_path: Path) -> None:
    with starter(tmp_path) as start:
        script = start(OPENS.format(option="backdoor_port", value="1:"))
        assert script.end() == 3
        (note,) = script.notes("refused", "1:")
        assert "backdoor_port = 1:: " in " ".join(note)
