"""Thousands of hostile connections at the control socket: PID 1 goes on with its work, and answers proper ones."""

from __future__ import annotations

import itertools
import random
import signal
import socket
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from tests.functional import proc
from tests.functional.cases import WEB
from tests.functional.program import launcher
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.program import Program

LEAST, MOST = 2000, 20_000  # connections
PAUSE = 0.0005  # seconds between two of a besieger: there is more than the siege on this machine
BESIEGERS = 2
KEPT = 300  # connections of one besieger that stay open

SILENT = (b"", b'{"command": "sta')
HOSTILE = (
    *SILENT * 3,
    b"\n",
    b"not JSON\n",
    b"\xff\x00\xfe\n",
    b"[" * 4000 + b"\n",
    b'{"a":' * 800 + b"\n",
    b'{"command": "scale", "service": "web", "workers": ' + b"9" * 4000 + b"}\n",
    b'{"command": "scale", "service": ["web"], "workers": {}}\n',
    b'{"command": {"command": "stop"}}\n',
    b"x" * 100_000,
    b'{"command": "status"}\n' * 100,
    b'{"command": "status"}\n',
)


class Siege:
    """Connections that ask nonsense, half of it, too much or nothing, that never read, or leave at once."""

    def __init__(self, address: Path) -> None:
        self._address = str(address)
        self._over = Event()
        self._count = itertools.count(1)
        self.made = 0
        self._threads = [Thread(target=self._besiege, args=(seed,)) for seed in range(BESIEGERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _besiege(self, seed: int) -> None:
        dice = random.Random(seed)
        kept: list[socket.socket] = []
        while not self._over.wait(PAUSE) and self.made < MOST:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(1)
            with suppress(OSError):
                client.connect(self._address)
                self.made = next(self._count)
                client.sendall(dice.choice(HOSTILE))
            kept.append(client)
            if len(kept) > KEPT:
                kept.pop(dice.randrange(KEPT)).close()
        for client in kept:
            client.close()


def test_a_siege_of_the_control_socket_disturbs_nothing(program: Program) -> None:
    program.serve(WEB, services="app:web=2")
    before = program.workers()
    descriptors = len(proc.descriptors(program.pid))
    with Siege(program.folder / "launcher.sock") as siege:
        wait_for(lambda: siege.made >= LEAST // 10, "the siege")
        program.signal(signal.SIGKILL, before[0])
        replaced = program.wait_for(lambda: other_than(before[0], program), "a worker in place of the killed one")
        assert launcher(program, "scale", "web", "3").returncode == 0
        program.wait_ready(3)
        wait_for(lambda: siege.made >= LEAST, "enough of the siege")
        assert launcher(program, "healthcheck").returncode == 0
        assert launcher(program, "status").returncode == 0
        assert len(proc.descriptors(program.pid)) <= descriptors + 32
        assert program.get()[0] == 200
    assert set(replaced) <= set(program.wait_ready(3))
    wait_for(lambda: len(proc.descriptors(program.pid)) <= descriptors, "the besiegers' connections to be closed")
    assert "Traceback" not in program.output()
    assert program.stop() == 0


def other_than(pid: int, program: Program) -> list[int]:
    workers = program.complete_workers()
    return [] if pid in workers else workers


def test_one_that_says_nothing_is_dropped_and_then_pid_1_sleeps(program: Program) -> None:
    program.serve(WEB, services="app:web=1")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.settimeout(60)
        silent.connect(str(program.folder / "launcher.sock"))
        silent.sendall(b'{"command"')
        assert silent.recv(1) == b""
        assert program.ask("live") == {"ok": True}
