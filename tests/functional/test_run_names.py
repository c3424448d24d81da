"""A host name in `listen`, and a resolver that takes its time: PID 1 does not wait for it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.functional.cases import WEB
from tests.functional.test_run_environment import MOUNT_NAMESPACE, shell

if TYPE_CHECKING:
    from tests.functional.program import Program

NAME = "slow.test"


def start(program: Program) -> None:
    """Start where a file of the C library is a pipe: who looks a name up waits until somebody opens its other end."""
    os.mkfifo(program.folder / "host.conf")
    (program.folder / "nsswitch.conf").write_text("hosts: files\n")
    (program.folder / "hosts").touch()
    program.write_app(WEB)
    program.configure(services="app:web=1", listen=f"{NAME}:{program.port}")
    mounts = " && ".join(f"mount --bind {name} /etc/{name}" for name in ("hosts", "host.conf", "nsswitch.conf"))
    program.start(namespace=MOUNT_NAMESPACE, inside=shell(f"mount -t proc proc /proc && {mounts} &&"))


def wait_for_question(program: Program) -> int:
    """Wait until somebody looks a name up; it goes on when what is returned is closed."""

    def waits() -> int:
        try:
            return os.open(program.folder / "host.conf", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # ENXIO: nobody reads
            return 0

    return program.wait_for(waits, "a look-up")


def answer(program: Program, line: str) -> None:
    fd = wait_for_question(program)
    (program.folder / "hosts").write_text(line)
    os.close(fd)


def test_a_reload_looks_a_name_up_anew_and_pid_1_does_not_wait(program: Program) -> None:
    start(program)
    answer(program, f"127.0.0.1 {NAME}\n")
    before = program.wait_ready(1)
    program.signal(signal.SIGHUP)
    fd = wait_for_question(program)
    assert program.ask("live") == {"ok": True}
    assert program.get()[0] == 200
    (program.folder / "hosts").write_text("")
    os.close(fd)
    program.wait_for_output(rf"reload refused: listen = {NAME}:\d+ \(.*conf:3\): the host name cannot be looked up")
    assert program.workers() == before
    program.signal(signal.SIGHUP)
    answer(program, f"127.0.0.1 {NAME}\n")
    program.wait_replaced(before)
    assert program.get()[0] == 200
    assert program.stop() == 0


def test_a_stop_does_not_wait_for_a_resolver(program: Program) -> None:
    start(program)
    fd = wait_for_question(program)
    assert program.stop() == 0
    os.close(fd)


def test_a_name_that_nobody_knows_is_one_line(program: Program) -> None:
    start(program)
    answer(program, "\n")
    assert program.wait_ended() == 78
    (error,) = program.errors()
    assert f"listen = {NAME}:{program.port} ({program.conf}:3): the host name cannot be looked up: " in error
    assert "Traceback" not in program.output()
