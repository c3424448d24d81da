"""What systemd, podman or whoever has started us is told by sd_notify(3)."""

from __future__ import annotations

import os
import signal
import socket
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from launcher.supervisor.herald import STATUS_MAX
from tests.functional import proc
from tests.functional.cases import SERVICE, not_pid1
from tests.functional.oslo.conftest import GREEN, THREADS
from tests.functional.scripts import starter
from tests.functional.superior import Ear
from tests.functional.test_run_idle import switches, wait_settled
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.functional.program import Program

SLOW = (
    SERVICE
    + """
import subprocess
NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
class Slow(Service):
    def start(self):
        note("begun", os.getpid())
        wait_for_gate()
        below = subprocess.run(["env"], stdout=subprocess.PIPE, text=True, check=True).stdout
        note("told", [name for name in NAMES if name in os.environ or name + "=" in below])
"""
)


@pytest.fixture
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(f"@{uuid.uuid4().hex}" if getattr(request, "param", "") == "abstract" else str(tmp_path / "notify"))
    yield ear
    ear.close()


def start(program: Program, ear: Ear, app: str = SLOW, environ: Mapping[str, str] = {}, **options: object) -> None:
    program.write_app(app)
    program.configure(**{"services": "app:Slow=2, app:Service=1", "listen": None, **options})
    program.start(environ={"NOTIFY_SOCKET": ear.address, **environ})


@pytest.mark.parametrize(("pid1", "ear"), [(True, "path"), (False, "abstract")], indirect=True)
def test_ready_once_everybody_is_then_reloads_then_the_end(program: Program, ear: Ear) -> None:
    start(program, ear, environ={"WATCHDOG_USEC": "0"})
    program.wait_for_notes("begun", 2)
    ear.wait_for_status("starting: Slow 0/2, Service 1/1")
    assert ear.states() == []
    program.open_gate()
    ear.wait_for_states("READY")
    ear.wait_for_status("ready: Slow 2/2, Service 1/1")
    assert program.wait_for_notes("told", 2) == ["told []"] * 2
    assert ear.senders == {program.pid}

    program.close_gate()
    asked = time.monotonic_ns()
    program.signal(signal.SIGHUP)
    ear.wait_for_status("reloading")
    program.wait_for_notes("begun", 3)
    ear.wait_for_states("READY", "RELOADING")
    said = next(int(each["MONOTONIC_USEC"]) for each in ear.hear() if "RELOADING" in each)
    assert asked <= said * 1000 + 999 < time.monotonic_ns() + 1000
    program.open_gate()
    ear.wait_for_states("READY", "RELOADING", "READY")

    assert program.stop() == 0
    ear.wait_for_states("READY", "RELOADING", "READY", "STOPPING")
    assert ear.status().startswith("stopping: ")
    assert "MAINPID" not in {name for each in ear.hear() for name in each}
    assert "WATCHDOG" not in {name for each in ear.hear() for name in each}


def test_a_reload_that_is_refused_is_over_and_says_why(program: Program, ear: Ear) -> None:
    program.open_gate()
    start(program, ear)
    ear.wait_for_states("READY")
    program.write_app("raise RuntimeError('no such table')")
    program.signal(signal.SIGHUP)
    ear.wait_for_states("READY", "RELOADING", "READY")
    ear.wait_for_status("the last reload failed: ")
    told = f"ready: Slow 2/2, Service 1/1; the last reload failed: app:Slow ({program.conf}:2): importing app failed: "
    assert ear.status().startswith(told[:STATUS_MAX])
    assert program.stop() == 0


def test_a_reload_that_resets_is_over_at_once(program: Program, ear: Ear) -> None:
    program.open_gate()
    start(program, ear, reload_method="reset", services="app:Service")
    ear.wait_for_states("READY")
    program.signal(signal.SIGHUP)
    ear.wait_for_states("READY", "RELOADING", "READY")
    program.wait_for_notes("reset")
    assert program.stop() == 0


def test_an_end_that_nobody_asked_for_says_why(program: Program, ear: Ear) -> None:
    crashes = SERVICE + "class Slow(Service):\n    def start(self): sys.exit(3)\n"
    start(program, ear, crashes, services="app:Slow", backoff_min=0.01, crash_loop_threshold=1)
    assert program.wait_ended() == 3
    assert ear.states() == ["STOPPING"]
    assert ear.status().startswith("stopping: crash loop: 1 failures in a row, the last: Slow: worker ")


def test_an_ear_that_is_full_is_told_when_there_is_room(program: Program, ear: Ear) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                flood.sendto(b"X=1", ear.address)
    program.open_gate()
    start(program, ear)
    program.wait_ready(3)
    assert program.ask("live") == {"ok": True}
    ear.wait_for_states("READY")
    assert program.stop() == 0


@pytest.mark.parametrize("nobody", ["/nowhere", "/" + "x" * 200])
def test_nobody_there_is_one_warning(program: Program, nobody: str) -> None:
    program.open_gate()
    program.write_app(SERVICE)
    program.configure(services="app:Service=2", listen=None)
    program.start(environ={"NOTIFY_SOCKET": nobody})
    program.wait_ready(2)
    program.signal(signal.SIGHUP)
    program.wait_for_output("generation 2 is in force")
    assert program.stop() == 0
    (line,) = [line for line in program.output().splitlines() if "NOTIFY_SOCKET" in line]
    assert f" WARNING launcher[1] NOTIFY_SOCKET = {nobody}: cannot be told how we are: " in line


@not_pid1
def test_behind_a_shell_it_is_told_who_we_are(program: Program, ear: Ear) -> None:
    program.open_gate()
    program.write_app(SERVICE)
    program.configure(services="app:Service", listen=None)
    shell = ("sh", "-c", 'export SYSTEMD_EXEC_PID=$$; "$0" "$@"; exit $?')
    program.start(inside=shell, environ={"NOTIFY_SOCKET": ear.address})
    ear.wait_for_states("READY")
    (ours,) = {int(each["MAINPID"]) for each in ear.hear() if "MAINPID" in each}
    assert ear.senders == {ours}
    assert ours != program.pid
    os.kill(ours, signal.SIGTERM)
    assert program.wait_ended() == 0


class TestSignsOfLife:
    @not_pid1
    def test_as_often_as_asked(self, program: Program, ear: Ear) -> None:
        program.open_gate()
        start(program, ear, environ={"WATCHDOG_USEC": "200000"})
        ear.wait_for_states("READY")
        begun = time.monotonic()
        before = ear.hear().count({"WATCHDOG": "1"})
        wait_for(lambda: ear.hear().count({"WATCHDOG": "1"}) >= before + 5, "five signs of life")
        assert time.monotonic() - begun > 0.35  # they are no more than asked for
        assert program.stop() == 0

    def test_none_if_somebody_else_is_meant(self, program: Program, ear: Ear) -> None:
        program.open_gate()
        start(program, ear, environ={"WATCHDOG_USEC": "20000", "WATCHDOG_PID": "4711"})
        ear.wait_for_states("READY")
        wait_settled(program.pid)
        before = switches(program.pid)
        assert proc.field(program.pid, "Threads") == "1"
        time.sleep(0.5)
        assert switches(program.pid) == before
        assert {"WATCHDOG": "1"} not in ear.hear()
        assert program.stop() == 0


class TestPrograms:
    """That launch their services themselves."""

    TOLD = """
    class Told(Recorder):
        def start(self):
            note("told", "NOTIFY_SOCKET" in os.environ)

        def reset(self):
            note("reset", os.getpid())
            if conf.colour == "none":
                raise RuntimeError("no colour")

    running = launcher.launch(conf, Told(), workers={workers})
    note("launched")
    sys.exit(running.wait())
    """

    @pytest.mark.parametrize("workers", [1, 2])
    def test_are_spoken_for(self, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        with starter(tmp_path) as start:
            script = start(self.TOLD.format(workers=workers))
            ear.wait_for_states("READY")
            assert script.wait_for_notes("told", count=workers) == [["told", "False"]] * workers
            wait_for(lambda: {"WATCHDOG": "1"} in ear.hear(), "a sign of life")
            script.send(signal.SIGHUP)
            ear.wait_for_states("READY", "RELOADING", "READY")
            assert len(script.notes("reset")) >= 1
            assert script.stop() == 0
            ear.wait_for_states("READY", "RELOADING", "READY", "STOPPING")
            assert ear.senders == {script.pid}

    FAILING = """
    from oslo_service import service

    class Failing(service.Service):
        def start(self):
            note("starts")
            until_told("go")
            raise RuntimeError("no start")

    sys.exit(service.launch(conf, Failing()).wait())
    """

    @pytest.mark.parametrize("backend", ["eventlet", "threading"])
    def test_are_not_ready_before_their_services_are(
        self, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch, backend: str
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
        before = THREADS if backend == "threading" else GREEN
        with starter(tmp_path) as start:
            script = start(self.FAILING, before=before, by=("-m", "launcher.oslo"))
            script.wait_for_notes("starts")
            script.tell("go")
            assert script.end() == 1
            ear.wait_for_states("STOPPING")

    @pytest.mark.parametrize("backend", ["eventlet", "threading"])
    def test_are_heard_when_there_is_room(
        self, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch, backend: str
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", ear.address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as crowd, starter(tmp_path) as start:
            crowd.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    crowd.sendto(b"X=1", ear.address)
            script = start(self.TOLD.format(workers=1), backend=backend)
            script.wait_for_notes("launched")
            ear.wait_for_states("READY")
            assert script.stop() == 0

    @pytest.mark.parametrize("backend", ["eventlet", "threading"])
    def test_say_once_that_nobody_is_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", "/no/such/socket")
        with starter(tmp_path) as start:
            script = start(self.TOLD.format(workers=1), backend=backend)
            script.wait_for_errors("cannot be told how we are: no such file or directory")
            assert script.stop() == 0
            assert script.errors().count("cannot be told") == 1
