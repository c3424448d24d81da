"""How much memory a process takes, and when that is too much."""

from __future__ import annotations

import subprocess
import sys
from math import inf
from types import SimpleNamespace

import pytest

from launcher.supervisor import memory
from launcher.supervisor.footprint import footprint, proportional, resident
from launcher.supervisor.memory import PERIOD, SAMPLES, MemoryLimit, Sizes
from launcher.supervisor.settings import Policy, ServiceSpec, Settings
from launcher.supervisor.state import Child, Service, Slot, Stage, Version
from launcher.supervisor.timers import Timers

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
        # Not to the byte: the process may yet be about to read.
        assert footprint(pid, 500 * MIB) == pytest.approx(resident(pid), rel=0.1)
        assert footprint(pid, 0) < 0.8 * resident(pid)


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


LIMITED = Settings((ServiceSpec("web", 1),), policy=Policy(limit_jitter=0.1), max_worker_memory=100 * MIB)


class World:
    """One worker, PID 7, of generation 1; its size and the container's room are what a test says."""

    def __init__(self, monkeypatch, settings: Settings) -> None:
        self.size, self.room, self.said, self.retired, self.now = 30 * MIB, inf, [], [], 0.0
        service = Service("web", Version(1, ServiceSpec("web", 1)))
        worker = Child(7, Slot(service, 0), 1, 0.0, inf, stage=Stage.READY)
        core = SimpleNamespace(children={7: worker}, retire=lambda pid, why, now: self.retired.append((pid, why)))
        log = SimpleNamespace(say=lambda level, text: self.said.append((level, text)))
        self.generations = SimpleNamespace(settings={1: settings})
        self.timers = Timers(lambda: self.now)
        monkeypatch.setattr(memory, "footprint", lambda pid, enough=0.0: self.size)
        monkeypatch.setattr(memory, "Cgroup", lambda: SimpleNamespace(memory_room=lambda: self.room))
        self.limit = MemoryLimit(core, self.generations, self.timers, log, lambda: 0.5)
        self.limit.in_force(settings)

    def pass_by(self, periods: int) -> None:
        for _ in range(periods):
            self.now += PERIOD
            self.timers.expire(self.now)


def test_who_takes_too_much_is_replaced_once(monkeypatch):
    world = World(monkeypatch, LIMITED)
    world.limit.ready(7)
    world.size = 96 * MIB
    world.pass_by(SAMPLES - 1)
    assert world.retired == []
    world.pass_by(5)
    assert world.retired == [(7, "takes 96 MiB, more than its limit of 95 MiB")]
    assert world.said == []


def test_a_successor_that_may_not_fit_is_told_of_and_made_all_the_same(monkeypatch):
    world = World(monkeypatch, LIMITED)
    world.limit.ready(7)
    world.size, world.room = 200 * MIB, 20 * MIB
    world.pass_by(SAMPLES)
    assert [pid for pid, _ in world.retired] == [7]
    ((level, text),) = world.said
    assert level == "warning"
    assert text.endswith("20 MiB are left of the container's memory, and a fresh worker took 30 MiB")


def test_who_never_says_that_it_is_ready_is_met_at_the_next_measurement(monkeypatch):
    world = World(monkeypatch, LIMITED)
    world.pass_by(1)
    world.size = 200 * MIB
    world.pass_by(SAMPLES)
    assert [pid for pid, _ in world.retired] == [7]


def test_who_is_too_large_from_the_beginning_is_told_of_once_and_kept(monkeypatch):
    world = World(monkeypatch, LIMITED)
    world.size = 200 * MIB
    world.limit.ready(7)
    world.pass_by(10)
    assert world.retired == []
    ((_, text),) = world.said
    assert text.endswith("takes 200 MiB as soon as it is ready: max_worker_memory = 100 MiB does not hold for it")


def test_nothing_is_measured_once_no_generation_has_a_limit(monkeypatch):
    world = World(monkeypatch, LIMITED)
    world.pass_by(1)
    assert world.timers.deadline() == world.now + PERIOD
    world.generations.settings = {1: Settings(())}
    world.pass_by(1)
    assert world.timers.deadline() == inf
    assert World(monkeypatch, Settings(())).timers.deadline() == inf
