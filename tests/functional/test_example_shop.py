"""The services of examples/shop, as they are, through all that happens to a service; the same on both backends."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.functional import proc
from tests.functional.cases import both_backends
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "shop.py"
SERVICES = "shop:api=4, shop:Scheduler=1"
SLOW = 8  # requests at a time, more than one for each worker


def open_shop(program: Program) -> None:
    (program.folder / SHOP.name).write_text(SHOP.read_text())
    program.configure(services=SERVICES)
    program.start()
    program.wait_ready(5)


def wait_for_tick(program: Program) -> None:
    (scheduler,) = program.workers(service="Scheduler")
    program.wait_for_output(rf"tick \d+ in process {scheduler}\b")


def answering(load: Load) -> set[int]:
    return {json.loads(answer)["pid"] for answer in load.wait_for_more()}


def in_flight(program: Program) -> int:
    return sum(worker["beat"]["in_flight"] for worker in program.ask("status")["workers"])


@both_backends
def test_it_serves_is_repaired_and_reloaded_and_stops_without_a_loss(program: Program, backend: str) -> None:
    open_shop(program)
    for pid in program.workers():
        assert ("greenlet" in proc.maps(program.outer(pid))) is (backend == "eventlet")
    wait_for_tick(program)
    with Load(program.port, keep_alive=0) as load:
        program.wait_for(lambda: answering(load) <= set(program.workers(service="api")), "answers of the API alone")
        load.pause()  # a request that the killed one had in hand would be lost with it
        killed = [program.workers(service="api")[0], *program.workers(service="Scheduler")]
        for pid in killed:
            program.signal(signal.SIGKILL, pid)
        before = program.wait_replaced(killed)
        load.resume()
        assert answering(load) <= set(before)
    assert load.failures == []
    wait_for_tick(program)
    with Load(program.port) as load:
        load.wait_for_more()
        program.signal(signal.SIGHUP)
        after = program.wait_replaced(before)
        program.wait_for(lambda: answering(load) <= set(after), "answers of the new workers alone")
        wait_for_tick(program)
    assert load.failures == []
    with ThreadPoolExecutor(SLOW) as pool:
        slow = [pool.submit(program.get, "/slow?seconds=1") for _ in range(SLOW)]
        program.wait_for(lambda: in_flight(program) == SLOW, "all of them in flight")
        program.signal(signal.SIGTERM)
        answers = [answer.result() for answer in slow]
    assert [status for status, _ in answers] == [200] * SLOW
    assert {json.loads(body)["slept"] for _, body in answers} == {1.0}
    assert program.wait_ended() == 0
    program.wait_nothing_left()


@both_backends
def test_a_term_while_it_starts_ends_it(program: Program) -> None:
    (program.folder / SHOP.name).write_text(SHOP.read_text())
    program.configure(services=SERVICES)
    program.start()
    program.wait_for(lambda: proc.children(program.pid), "the mold")
    assert program.stop() == 0
    program.wait_nothing_left()
