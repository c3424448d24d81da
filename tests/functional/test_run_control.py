"""`launcher status`, `scale`, `reload` and `stop`: what they show, do, and refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from launcher.cli import stop
from tests.functional import proc
from tests.functional.cases import SERVICE, WEB, both_ways, not_pid1
from tests.functional.program import LAUNCHER, launcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.functional.program import Program

TWO = SERVICE + "class Other(Service): pass\n"
GATED = SERVICE.replace('start(self): note("start", os.getpid())', "start(self): note('starting'); wait_for_gate()")
NOBODY = 65534


def run(program: Program, *arguments: str) -> str:
    """Run a command that succeeds; return what it says."""
    ended = launcher(program, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.rstrip("\n")


def refusal(program: Program, *arguments: str, code: int = 1) -> str:
    """Run a command that is refused; return why."""
    ended = launcher(program, *arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    return line.removeprefix(f"launcher: error: {arguments[0]}: ")


@pytest.fixture
def reloading(program: Program) -> Iterator[subprocess.Popen[str]]:
    """A program with a command that waits for the reload to a generation whose workers wait for the gate."""
    program.serve(SERVICE, services="app:Service=2", listen=None)
    program.write_app(GATED)
    with subprocess.Popen(
        [*LAUNCHER, "reload", "--wait"],
        cwd=program.folder,
        env=program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        program.wait_for_notes("starting")
        yield waiting
        waiting.kill()


# Status


@both_ways
def test_status_shows_services_and_workers(program: Program) -> None:
    program.serve(TWO, services="app:Service=2, app:Other=1", listen=None)
    first, second, third = program.workers(service="Service") + program.workers(service="Other")
    headline, _, *services, _, workers, one, two, three = run(program, "status").splitlines()
    pid = 1 if program.pid1 else program.pid
    assert re.fullmatch(rf"launcher \S+, PID {pid}, up \d+ s, generation 1: ready", headline)
    assert [line.split() for line in services] == [
        ["SERVICE", "READY", "OF", "GENERATION", "FAILURES", "LAST", "UNASKED", "END"],
        ["Service", "2", "2", "1", "0", "-"],
        ["Other", "1", "1", "1", "0", "-"],
    ]
    assert workers.split()[:7] == ["SERVICE", "SLOT", "PID", "GENERATION", "STAGE", "SINCE", "AGE"]
    assert workers.split()[7:] == ["BUSY", "IN", "FLIGHT", "REQUESTS", "LAST", "BEAT"]
    assert [line.split()[:5] for line in (one, two, three)] == [
        ["Service", "0", str(first), "1", "ready"],
        ["Service", "1", str(second), "1", "ready"],
        ["Other", "0", str(third), "1", "ready"],
    ]


def test_status_is_there_for_machines(program: Program) -> None:
    program.serve(SERVICE, services="app:Service", listen=None)
    status = json.loads(run(program, "status", "--json"))
    (worker,) = status["workers"]
    assert (status["pid"], status["state"], status["generation"], status["reloading"]) == (1, "ready", 1, None)
    assert (status["services"]["Service"]["target"], status["services"]["Service"]["ready"]) == (1, 1)
    assert (worker["pid"], worker["slot"], worker["stage"]) == (program.workers()[0], 0, "ready")
    assert worker["since"] <= worker["age"] <= status["uptime"]


def test_status_counts_what_workers_do(program: Program) -> None:
    program.serve(WEB, services="app:web=1")

    def beat() -> dict[str, float]:
        return program.ask("status")["workers"][0]["beat"]

    assert (beat()["requests"], beat()["in_flight"]) == (0, 0)
    assert program.get()[0] == program.get()[0] == 200
    program.wait_for(lambda: (beat()["requests"], beat()["in_flight"]) == (2, 0), "two requests")
    slow = Thread(target=program.get, args=("/slow",))
    slow.start()
    program.wait_for(lambda: (beat()["requests"], beat()["in_flight"]) == (2, 1), "a request in flight")
    program.wait_for(lambda: not beat()["at_work"], "the worker to wait")
    program.open_gate()
    slow.join()
    program.wait_for(lambda: (beat()["requests"], beat()["in_flight"]) == (3, 0), "three requests")
    busy = beat()["busy"]
    program.close_gate()
    Thread(target=program.get, args=("/stuck",), daemon=True).start()
    program.wait_for(lambda: beat()["at_work"] and beat()["last"] > 0.2 and beat()["busy"] > busy + 0.2, "work")
    program.open_gate()
    assert program.stop() == 0


def test_status_knows_starting_and_stopping(program: Program) -> None:
    program.write_app(GATED + "    def stop(self): Path('gate').exists() or wait_for_gate()\n")
    program.configure(services="app:Service", listen=None)
    program.start()
    program.wait_for_notes("starting")
    assert ": starting" in run(program, "status")
    program.open_gate()
    program.wait_ready()
    program.close_gate()
    program.signal(signal.SIGTERM)
    program.wait_for_output("gets TERM")
    assert ": stopping" in run(program, "status")
    program.open_gate()
    assert program.wait_ended() == 0


def test_a_reader_of_the_status_may_go_away(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    pipeline = f"{sys.executable} -m launcher status | true"
    ended = subprocess.run(
        ["bash", "-c", pipeline], env=program.environment(), capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""


# Scale


def test_scale_takes_effect_on_the_service_it_names(program: Program) -> None:
    program.serve(TWO, services="app:Service=1, app:Other=2", listen=None)
    first = program.workers()
    assert run(program, "scale", "Other", "4") == "Other: 4 workers asked for"
    assert set(program.wait_ready(5)) > set(first)
    run(program, "scale", "Other", "1")
    program.wait_ready(2)
    assert len(program.workers(service="Other")) == 1
    assert program.stop() == 0


def test_scaled_to_none_it_is_ready_and_has_nobody_until_it_is_scaled_up(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    run(program, "scale", "Service", "0")
    program.wait_for(lambda: not program.ask("status")["workers"], "no workers")
    assert launcher(program, "healthcheck").returncode == 0
    program.signal(signal.SIGTTOU)
    program.wait_for_output("Service: 0 workers asked for(.*\n)+.*Service: 0 workers asked for")
    program.signal(signal.SIGTTIN)
    program.wait_ready(1)
    assert program.stop() == 0


def test_what_cannot_be_scaled_is_told_in_a_line(program: Program) -> None:
    program.serve(TWO, services="app:Service=1, app:Other=1", listen=None)
    assert refusal(program, "scale", "Servce", "2") == 'no service Servce; did you mean "Service"?'
    assert refusal(program, "scale", "zzz", "2") == "no service zzz; there are Service, Other"
    assert refusal(program, "scale", "Service", "two", code=2).startswith("two is no whole number; usage:")
    assert refusal(program, "scale", "Service", "-1") == "-1 workers: must be a number from 0 to 10000"
    assert refusal(program, "scale", "Service", "10001") == "10001 workers: must be a number from 0 to 10000"
    assert refusal(program, "scale", "Service", "9" * 50) == f"{'9' * 50} workers are out of range"
    assert refusal(program, "scale", "Service", code=2).startswith("takes a service and a number; usage:")
    assert program.ask("scale", service="Service")["error"] == "scale takes service, a name, and workers, a number"
    assert len(program.wait_ready()) == 2


def test_a_service_that_a_reload_has_dropped_cannot_be_scaled(program: Program) -> None:
    program.serve(TWO, services="app:Service=1, app:Other=1", listen=None)
    program.configure(services="app:Service=1", listen=None)
    run(program, "reload", "--wait")
    program.wait_ready(1)
    assert refusal(program, "scale", "Other", "2").startswith("Other was dropped by a reload")
    assert "Other" not in run(program, "status")


def test_scaled_during_a_reload_the_new_number_holds(program: Program, reloading: subprocess.Popen[str]) -> None:
    warning = "Service: 4 workers asked for; the reload under way may bring another number"
    assert run(program, "scale", "Service", "4") == warning
    program.open_gate()
    assert reloading.wait(60) == 0
    program.wait_ready(4)
    assert len(program.workers(generation=2)) == 4


def test_scaled_while_a_reload_loads_the_configuration_counts(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    program.write_app("note('loading'); wait_for_gate()\n" + SERVICE)
    run(program, "reload")
    program.wait_for_notes("loading")
    run(program, "scale", "Service", "4")
    program.wait_ready(4)
    program.open_gate()
    program.wait_for_output("generation 2 is in force and ready")
    program.wait_ready(2)
    assert len(program.workers(generation=2)) == 2


# Reload


def test_reload_replaces_all_workers(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    before = program.workers()
    assert run(program, "reload") == "generation 2: asked for"
    program.wait_replaced(before)
    assert program.stop() == 0


def test_a_reload_that_is_waited_for_is_in_force_and_ready_then(
    program: Program, reloading: subprocess.Popen[str]
) -> None:
    assert reloading.poll() is None
    assert "generation 2: ready, reloading to generation 2" in run(program, "status")
    program.open_gate()
    assert reloading.communicate(timeout=60) == ("generation 2: in force and ready\n", "")
    assert reloading.returncode == 0
    assert "generation 2 is in force and ready" in program.output()
    assert len(program.workers(generation=2)) == 2
    assert json.loads(run(program, "status", "--json"))["last_reload"] == {"generation": 2, "error": ""}


def test_a_refused_reload_says_why_and_the_status_too(program: Program) -> None:
    program.serve(TWO, services="app:Service=1, app:Other=1", listen=None)
    before = program.workers()
    program.write_app("raise RuntimeError('not today')\n")
    why = refusal(program, "reload", "--wait")
    assert re.search(r"RuntimeError: not today .*\(and 1 more, see the log\)$", why)
    assert "the reload to generation 2 failed: " in run(program, "status")
    assert program.workers() == before


def test_a_reload_that_does_not_get_ready_says_so(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    program.write_app("class Service:\n    def start(self): os._exit(7)\n" + "    stop = wait = reset = start\n")
    assert "ended with 7 before it was ready" in refusal(program, "reload", "--wait")
    assert program.stop() == 0


def test_a_reload_that_is_superseded_says_so(program: Program, reloading: subprocess.Popen[str]) -> None:
    run(program, "reload")
    assert "superseded" in reloading.communicate(timeout=60)[1]
    assert reloading.returncode == 1


def test_of_a_crowd_that_reloads_the_last_gets_its_reload(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    before, descriptors = program.workers(), len(proc.descriptors(program.pid))
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(50)]
        for client in clients:
            client.settimeout(60)
            client.connect(str(program.folder / "launcher.sock"))
            client.sendall(b'{"command": "reload", "wait": true}\n')
        *others, last = [json.loads(client.makefile().readline()) for client in clients]
    assert last == {"ok": True, "generation": 51}
    assert {other.get("error", "") for other in others} <= {"superseded by a newer reload", ""}
    assert not set(program.wait_ready(2)) & set(before)
    program.wait_for(lambda: len(proc.descriptors(program.pid)) <= descriptors, "no descriptors more than before")


def test_a_reload_that_a_stop_ends_says_so(program: Program, reloading: subprocess.Popen[str]) -> None:
    program.signal(signal.SIGTERM)
    assert "stopping" in reloading.communicate(timeout=60)[1]
    assert reloading.returncode == 1
    assert refusal(program, "reload") in {"it is stopping", "no supervisor answers here; is `launcher run` up?"}


def test_whoever_waits_for_one_that_dies_is_told(program: Program, reloading: subprocess.Popen[str]) -> None:
    program.signal(signal.SIGKILL)
    assert "went away before it answered" in reloading.communicate(timeout=60)[1]
    assert reloading.returncode == 1


def test_with_reset_a_reload_is_a_reset(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None, reload_method="reset")
    assert run(program, "reload", "--wait") == "the workers were asked to reset: reload_method = reset"
    program.wait_for_notes("reset", 2)


# Stop


def test_stop_is_a_graceful_stop(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=2", listen=None)
    assert run(program, "stop") == "stopping"
    assert program.wait_ended() == 0
    assert len(program.wait_for_notes("stop", 2)) == 2


# Whom they ask


@pytest.mark.parametrize("command", [("status",), ("scale", "Service", "1"), ("reload", "--wait"), ("stop",)])
def test_where_no_supervisor_is_they_say_so(program: Program, command: tuple[str, ...]) -> None:
    assert refusal(program, *command) == "no supervisor answers here; is `launcher run` up?"


def test_whoever_says_where_asks_nobody_else(program: Program) -> None:
    program.serve(SERVICE, services="app:Service", listen=None)
    elsewhere = program.folder / "elsewhere"
    elsewhere.mkdir()
    assert "no supervisor answers" in refusal(program, "stop", "--runtime-dir", str(elsewhere))
    assert launcher(program, "stop", OS_LAUNCHER__RUNTIME_DIR=str(elsewhere)).returncode == 1
    assert run(program, "stop", f"--runtime-dir={program.folder}") == "stopping"
    assert program.wait_ended() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_users_is_told_so(program: Program) -> None:
    program.serve(SERVICE, services="app:Service", listen=None)
    theirs = "launcher: error: stop: the supervisor here is run by UID 0, and listens to nobody else but root\n"
    for folder in (program.folder, *program.folder.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:  # pytest's are its user's alone
            folder.chmod(0o755)
    for mode in (0o600, 0o666):  # it is the file's mode that keeps them out, and then the supervisor itself
        (program.folder / "launcher.sock").chmod(mode)
        assert stop_as_nobody(program) == (1, theirs)
    assert program.workers()


def stop_as_nobody(program: Program) -> tuple[int, str]:
    """Return exit code and errors."""
    errors = (program.folder / "errors").open("w+")
    pid = os.fork()
    if pid == 0:
        os.dup2(errors.fileno(), 2)
        os.environ["LAUNCHER_RUNTIME_DIR"] = str(program.folder)
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        sys.stderr = os.fdopen(2, "w")
        code = stop.main([])
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with errors:
        errors.seek(0)
        return code, errors.read()


@pytest.mark.parametrize(
    "command", [("status", "now"), ("scale", "x"), ("reload", "--now"), ("stop", "it"), ("top", "1")]
)
def test_nonsense_is_a_usage_error(program: Program, command: tuple[str, ...]) -> None:
    assert f"usage: launcher {command[0]}" in refusal(program, *command, code=2)


@not_pid1
def test_of_two_supervisors_in_one_place_the_second_says_that_commands_ask_the_first(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=1", listen=None)
    second = subprocess.Popen(
        [*LAUNCHER, "run", "--config-file", str(program.conf)],
        cwd=program.folder,
        env=program.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with second:
        said = second.stderr.readline()
        second.terminate()
        second.stderr.read()
    assert f"WARNING launcher[{second.pid}] another supervisor answers at {program.folder}/launcher.sock" in said
    assert program.ask("status")["pid"] == program.pid
    assert program.stop() == 0
