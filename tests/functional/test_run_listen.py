"""Addresses: whose a socket is, and how long it is open."""

from __future__ import annotations

import re
import signal
import socket
from typing import TYPE_CHECKING

from tests.functional import load
from tests.functional.cases import WEB

if TYPE_CHECKING:
    from tests.functional.program import Program

TWO = """
from launcher import WSGIService
def answer(word):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [word]
    return app
class Api(WSGIService):
    def __init__(self): super().__init__(answer(b"api"))
class Web(WSGIService):
    def __init__(self): super().__init__(answer(b"web"))
    def start(self):
        {start}
        super().start()
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_listened_on(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_two_services_on_any_port_answer_for_themselves(program: Program) -> None:
    listen = "Api=127.0.0.1:0, Web=127.0.0.1:0"
    program.serve(TWO.format(start="pass"), services="app:Api, app:Web", listen=listen)
    ports = dict(re.findall(r"INFO .*(Api|Web): listens on 127\.0\.0\.1:(\d+), a free port", program.output()))
    assert load.get(int(ports["Api"])) == (200, "api")
    assert load.get(int(ports["Web"])) == (200, "web")
    before = program.workers()
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    assert load.get(int(ports["Api"])) == (200, "api")
    assert program.stop() == 0


def test_a_port_of_a_service_that_stays_as_it_was_is_not_left_open(program: Program) -> None:
    old, new = free_port(), free_port()
    api = f"Api=127.0.0.1:{program.port}"
    program.serve(TWO.format(start="pass"), services="app:Api, app:Web", listen=f"{api}, Web=127.0.0.1:{old}")
    program.write_app(TWO.format(start="raise RuntimeError('no database')"))
    program.configure(services="app:Api, app:Web", listen=f"{api}, Web=127.0.0.1:{new}")
    program.signal(signal.SIGHUP)
    program.wait_for_output("reload failed: .*Web stays at generation 1")
    program.wait_for(lambda: not is_listened_on(new), "the new port is closed")
    assert load.get(old) == (200, "web")
    assert program.get() == (200, "api")
    program.write_app(TWO.format(start="pass  # once more"))
    program.signal(signal.SIGHUP)
    program.wait_for(lambda: is_listened_on(new) and not is_listened_on(old), "the port moves")
    assert load.get(new) == (200, "web")
    assert program.stop() == 0


def test_a_reload_respells_an_address_and_is_told_what_it_cannot_do(program: Program) -> None:
    program.serve(WEB, services="app:web", listen=f"0.0.0.0:{program.port}")
    before = program.workers()
    program.configure(services="app:web", listen=f":{program.port}")
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    program.configure(services="app:web", listen=f"127.0.0.1:{program.port}")
    program.signal(signal.SIGHUP)
    program.wait_for_output(
        r"reload refused: .*the launcher itself listens on 0\.0\.0\.0:\d+; this change takes a restart"
    )
    assert program.get()[0] == 200
    assert program.stop() == 0
