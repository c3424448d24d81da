"""HUP: new code and configuration without a failed request, or everything as it was."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.functional.cases import SERVICE, both_backends, every_way
from tests.functional.load import Load

if TYPE_CHECKING:
    from tests.functional.program import Program

SAYS = """
def web(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{word}"]
"""


@every_way
def test_a_reload_under_load_fails_no_request(program: Program) -> None:
    program.serve(SAYS.format(word="old"), services="app:web", workers=3)
    before = program.workers()
    with Load(program.port, keep_alive=3, fresh=3) as load:
        load.wait_for_more()
        program.write_app(SAYS.format(word="newer"))
        program.configure(services="app:web", workers=4)
        program.signal(signal.SIGHUP)
        after = program.wait_for(lambda: len(program.workers(generation=2)) == 4 and program.complete_workers(), "roll")
        answers = load.wait_for_more(50)
    assert load.failures == []
    assert len(after) == 4
    assert not set(before) & set(after)
    assert "newer" in answers
    assert set(answers[10:]) == {"newer"}, "old workers have left, but for answers already on their way"
    assert program.stop() == 0


@both_backends
def test_reloads_one_after_the_other_under_load_fail_no_request(program: Program) -> None:
    program.serve(SAYS.format(word="same"), services="app:web", workers=2)
    with Load(program.port) as load:
        for _ in range(2):
            before = program.workers()
            load.wait_for_more()
            program.signal(signal.SIGHUP)
            program.wait_replaced(before)
        program.signal(signal.SIGHUP)
        program.signal(signal.SIGHUP)
        program.wait_replaced(program.workers())
        load.wait_for_more()
    assert load.failures == []


@pytest.mark.parametrize(
    ("source", "options", "reason"),
    [
        ("def web(:\n", {}, r"importing app failed: SyntaxError: .*app\.py:\d+\)"),
        ("raise RuntimeError('not today')\n", {}, r"importing app failed: RuntimeError: not today \(.*app\.py:\d+\)"),
        ("", {}, "module app has no attribute web"),
        (SAYS, {"workers": "abc"}, r"workers = abc \(.*launcher\.conf:\d+\): must be a whole number"),
        (SAYS, {"wrokers": "2"}, r'wrokers = 2 \(.*launcher\.conf:\d+\): unknown option .*did you mean "workers"'),
        (SAYS, {"listen": "192.0.2.1:80"}, r"listen = 192\.0\.2\.1:80 \(.*launcher\.conf:\d+\): this machine"),
    ],
    ids=["syntax-error", "raises", "no-attribute", "bad-value", "unknown-option", "no-such-address"],
)
def test_a_broken_reload_is_refused(program: Program, source: str, options: dict[str, str], reason: str) -> None:
    program.serve(SAYS.format(word="old"), services="app:web=2")
    before = program.workers()
    program.write_app(source)
    program.configure(services="app:web=2", **options)
    program.signal(signal.SIGHUP)
    program.wait_for_output(f"ERROR .*reload refused: .*{reason}")
    assert program.output().count("reload refused") == 1
    assert program.workers() == before
    assert program.get() == (200, "old")
    assert program.stop() == 0


def test_a_reload_after_a_refused_one_works(program: Program) -> None:
    program.serve(SAYS.format(word="old"), services="app:web=2")
    before = program.workers()
    program.write_app("")
    program.signal(signal.SIGHUP)
    program.wait_for_output("reload refused")
    program.write_app(SAYS.format(word="newer"))
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    assert program.get() == (200, "newer")


WEB_SERVICE = """
from launcher import WSGIService
class Web(WSGIService):
    def __init__(self):
        super().__init__(web)
    def start(self):
        {start}
        super().start()
"""


@pytest.mark.parametrize(
    ("start", "backend"),
    [
        ("raise RuntimeError('no database')", "eventlet"),
        ("os._exit(7)", "eventlet"),
        ("wait_for_gate()", "eventlet"),
        ("raise RuntimeError('no database')", "threading"),
    ],
    indirect=["backend"],
)
def test_a_generation_that_does_not_start_is_abandoned(program: Program, start: str) -> None:
    old = SAYS.format(word="old") + WEB_SERVICE.format(start="pass")
    program.serve(old, services="app:Web=2", startup_timeout=3)
    before = program.workers()
    program.write_app(SAYS.format(word="newer") + WEB_SERVICE.format(start=start))
    with Load(program.port) as load:
        program.signal(signal.SIGHUP)
        program.wait_for_output("ERROR .*reload failed: Web: worker .* (before it was ready|did not get ready in time)")
        program.wait_ready(2)
        load.wait_for_more()
    assert load.failures == []
    assert set(load.answers) == {"old"}
    assert program.workers() == before
    assert program.stop() == 0


@every_way
def test_reset_keeps_the_workers(program: Program) -> None:
    program.serve(SERVICE, services="app:Service=3", reload_method="reset", listen=None)
    before = program.workers()
    program.signal(signal.SIGHUP)
    resets = program.wait_for_notes("reset", 3)
    assert sorted(resets) == sorted(f"reset {pid}" for pid in before)
    assert program.workers() == before
    assert program.stop() == 0


TWO = """
class Good:
    def start(self): note("good", os.getpid())
    def stop(self): pass
    def wait(self): pass
    def reset(self): pass
class Bad(Good):
    def start(self): raise SystemExit({code})
"""


@pytest.mark.parametrize("code", [1, 78])
@pytest.mark.parametrize("services", ["app:Good, app:Bad", "app:Bad"], ids=["added", "renamed"])
def test_a_service_that_a_reload_brings_and_that_fails_is_not_added(program: Program, services: str, code: int) -> None:
    program.serve(TWO.format(code=code), services="app:Good", listen=None)
    (before,) = program.workers()
    program.configure(services=services, listen=None)
    program.signal(signal.SIGHUP)
    program.wait_for_output("ERROR .*reload failed: Bad: worker .* it is not added")
    program.signal(signal.SIGKILL, program.wait_ready(1)[0])
    assert program.wait_replaced([before]), "what served before is still looked after"
    assert program.stop() == 0


@both_backends
def test_a_renamed_service_ends_when_the_new_one_is_ready(program: Program) -> None:
    program.serve(TWO.format(code=1), services="app:Good", listen=None)
    program.write_app(TWO.format(code=1) + "class Better(Good): pass\n")
    program.configure(services="app:Better", listen=None)
    program.signal(signal.SIGHUP)
    program.wait_for_output("Better: worker .* is ready[^$]*Good: worker .* gets TERM")
    program.wait_ready(1)
    assert program.stop() == 0


def test_a_mold_lost_after_the_configuration_has_changed_says_so(program: Program) -> None:
    program.serve(TWO.format(code=1), services="app:Good", listen=None)
    before = program.workers()
    program.write_app(TWO.format(code=1) + "class Better(Good): pass\n")
    program.configure(services="app:Better", listen=None)
    program.signal(signal.SIGKILL, program.ask("status")["molds"][0])
    program.wait_for_output("the configuration has changed since and has no service Good: HUP takes it up")
    assert program.workers() == before
    program.signal(signal.SIGHUP)
    program.wait_replaced(before)
    assert program.stop() == 0
