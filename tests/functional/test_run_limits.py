"""How many workers there are, and when they have done enough: what the options say, without a failed request."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import WEB, both_backends
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program


def test_auto_is_worked_out_anew_with_each_reload(program: Program) -> None:
    program.write_app(WEB)
    program.configure(services="app:web=auto")
    program.start(outside=("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))
    before = program.wait_ready(1)
    program.wait_for_output("INFO .*web: workers = auto is 1 by affinity to 1 CPUs")
    os.sched_setaffinity(program.pid, os.sched_getaffinity(0))
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    program.wait_for_output(f"workers = auto is {len(os.sched_getaffinity(0))} by affinity")
    program.wait_ready(len(os.sched_getaffinity(0)))


@both_backends
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_requests": 40}, "has served max_requests"),
        ({"max_worker_lifetime": 0.5}, "lived for max_worker_lifetime"),
    ],
    ids=["requests", "lifetime"],
)
def test_workers_are_replaced_without_a_failed_request(program: Program, options: dict[str, object], why: str) -> None:
    program.serve(WEB, services="app:web=2", limit_jitter=0.5, **options)
    with Load(program.port) as load:
        program.wait_for(lambda: len(set(load.answers)) >= 8 or load.failures, "answers of many workers")
    assert load.failures == []
    program.wait_for_output(f"gets TERM: {why}")
    assert "gets KILL" not in program.output()
    assert program.stop() == 0


JOBS = """
import launcher
class Service(launcher.Service):
    announces_ready = True
    def start(self):
        note("start", os.getpid())
        for _ in range(5):
            launcher.served()  # too early to be replaced for it
        launcher.ready()
        self.tg.add_timer(0.05, self.work)
    def work(self):
        note("work", os.getpid())
        launcher.served()
"""


@both_backends
def test_a_service_may_count_what_it_serves(program: Program) -> None:
    program.serve(JOBS, services="app:Service", listen=None, max_requests=3, limit_jitter=0)
    first = program.wait_for_notes("start", 2)[0].split()[1]
    work = program.wait_for_notes("work", 4)
    assert work[:3] == [f"work {first}"] * 3
    assert program.stop() == 0


GREEDY = """
ballast = bytearray(150 << 20)  # shared by all
eaten = []
def web(environ, start_response):
    if environ["PATH_INFO"] == "/eat":
        eaten.append(bytearray(120 << 20))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


def test_a_worker_that_takes_too_much_is_replaced_and_what_is_shared_is_shared(program: Program) -> None:
    program.serve(GREEDY, services="app:web=3", max_worker_memory="140M")
    before = set(program.workers())
    with Load(program.port) as load:
        greedy = int(program.get("/eat")[1])
        after = set(program.wait_replaced([greedy]))
        load.wait_for_more()
    assert load.failures == []
    assert before - after == {greedy}
    program.wait_for_output(rf"web: worker {greedy} .* gets TERM: takes \d+ MiB, more than its limit of \d+ MiB")
    assert program.stop() == 0


def test_a_limit_that_no_worker_can_keep_does_not_hold(program: Program) -> None:
    program.serve(WEB, services="app:web", max_worker_memory="1M")
    program.wait_for_output(r"WARNING .*takes \d+ MiB as soon as it is ready: max_worker_memory = 1 MiB does not hold")


BUSY = """
def web(environ, start_response):
    end = time.monotonic() + 0.02
    while time.monotonic() < end: pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]
"""


@both_backends
def test_an_elastic_service_has_as_many_workers_as_its_load_needs(program: Program) -> None:
    program.serve(BUSY, services="app:web=1..2")
    first = program.wait_ready(1)
    with Load(program.port) as load:
        program.wait_for_output(r"INFO .*web: 2 workers asked for, 1 were at work for \d+% of the time")
        program.wait_ready(2)
        program.wait_for(lambda: len(set(load.answers)) == 2 or load.failures, "answers of both")
    program.wait_for_output(r"web: 1 workers asked for, 2 were at work for \d+% of the time")
    assert program.wait_ready(1) == first, "the youngest has left"
    assert load.failures == []
    assert "web: 3 workers" not in program.output()
    assert program.stop() == 0
