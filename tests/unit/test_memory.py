"""How much memory a process takes, and when that is too much."""

from __future__ import annotations

import subprocess
import sys

import pytest

from launcher.supervisor.footprint import footprint, proportional, resident
from launcher.supervisor.memory import SAMPLES, Sizes

MIB = 2**20
HOLD = "import os; hold = bytearray({size}); {fork}print(flush=True); os.read(0, 1)"


class Holding:
    """A process that holds some memory, and a forked one that shares it."""

    def __init__(self, size: int, *, shared: bool) -> None:
        code = HOLD.format(size=size, fork="os.fork(); " if shared else "")
        self._process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._process.pid

    def __enter__(self) -> int:
        self._process.stdout.readline()
        return self.pid

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def test_what_is_shared_counts_in_parts():
    with Holding(100 * MIB, shared=True) as pid:
        assert resident(pid) > 100 * MIB
        assert 50 * MIB < proportional(pid) < 90 * MIB
        assert footprint(pid) == pytest.approx(proportional(pid), rel=0.05)


def test_the_cheap_measure_will_do_when_it_is_not_too_much():
    with Holding(10 * MIB, shared=True) as pid:
        assert footprint(pid, 500 * MIB) == resident(pid)
        assert footprint(pid, 0) < resident(pid)


def test_who_is_gone_takes_nothing():
    done = subprocess.Popen(["true"])
    done.wait()
    assert (footprint(done.pid), resident(done.pid), proportional(done.pid)) == (0, 0, 0)


def test_so_many_measurements_in_a_row_are_too_much_and_once():
    sizes = Sizes()
    assert sizes.fresh(7, 10, 100)
    verdicts = [sizes.measured(7, size) for size in [101] * (SAMPLES - 1) + [100] + [101] * (2 * SAMPLES)]
    assert verdicts.count(True) == 1
    assert verdicts.index(True) == 2 * SAMPLES - 1


def test_who_is_too_large_from_the_beginning_has_no_limit():
    sizes = Sizes()
    assert not sizes.fresh(7, 101, 100)
    assert not any(sizes.measured(7, 200) for _ in range(10))


def test_who_is_gone_is_forgotten():
    sizes = Sizes()
    sizes.fresh(7, 10, 100)
    sizes.fresh(8, 10, 100)
    sizes.keep({8})
    assert sizes.get(7) is None
    assert sizes.get(8) is not None
