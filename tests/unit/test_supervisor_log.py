"""The supervisor's log on a stderr of every kind."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

PATIENCE = 30  # seconds
LOG = "import os, sys\nfrom launcher.supervisor.log import Log, open_missing_stdio\n"


def python(code, **options):
    return subprocess.Popen([sys.executable, "-c", LOG + code], text=True, **options)


def errors(code):
    process = python(code, stderr=subprocess.PIPE)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return told


def test_a_line_for_people():
    line = errors("Log().say('warning', 'api: worker 7 ended')")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING launcher\[\d+\] api: worker 7 ended\n", line)


def test_a_line_for_machines():
    told = json.loads(errors("Log(style='json').say('info', 'say \"hello\"\\n')"))
    assert told.pop("process") > 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("time"))
    assert told == {"level": "info", "logger": "launcher", "message": 'say "hello"\n'}


def test_what_is_below_the_level_is_not_said():
    lines = errors("""
log = Log('warning')
for level in ('debug', 'info', 'warning', 'error'): log.say(level, f'it is {level}')
log.configure('debug', 'console')
log.say('debug', 'it is all')
log.raw('as it is')
""").splitlines()
    assert [line.rpartition("] ")[2] for line in lines] == ["it is warning", "it is error", "it is all", "as it is"]


def test_what_cannot_be_encoded_and_what_is_too_long_is_said_as_well_as_it_can():
    surrogate, long = errors(
        "log = Log()\nlog.say('info', '\\udcff')\nlog.say('info', 'x' * 9999 + 'end')"
    ).splitlines()
    assert surrogate.endswith("\\udcff")
    assert len(long) == 4095
    assert long.endswith("xend")


FLOOD = """
log = Log()
for number in range(3000): log.say('info', 'x' * 100)
print('said', flush=True)
sys.stdin.readline()
log.say('info', 'there is room')
log.say('info', 'and more')
"""


@pytest.mark.parametrize(
    "channel", [os.pipe, lambda: [end.detach() for end in socket.socketpair()]], ids=["pipe", "socket"]
)
def test_a_reader_that_hangs_costs_lines_and_the_loss_is_told(channel):
    reading, writing = channel()
    process = python(FLOOD, stderr=writing, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.close(writing)
    assert process.stdout.readline() == "said\n", "it does not wait for the reader"
    os.set_blocking(reading, False)
    before = drain(reading)
    process.communicate("go on\n", timeout=PATIENCE)
    loss, first, second = drain(reading).splitlines()
    os.close(reading)
    assert "log lines were lost" in loss
    # The first loss may have been told already: its line is shorter and can fit where a longer one did not.
    lost = sum(map(int, re.findall(r"(\d+) log lines were lost", before + loss)))
    assert lost > 0
    assert before.count("x\n") + lost == 3000
    assert first.endswith("there is room")
    assert second.endswith("and more"), "the loss is told once"


def drain(fd):
    """Read what is there."""
    data = b""
    with suppress(BlockingIOError):
        while more := os.read(fd, 65536):
            data += more
    return data.decode()


def test_the_stderr_that_others_share_stays_blocking():
    assert errors("Log().say('info', str(os.get_blocking(2)))").endswith("True\n")


@pytest.mark.parametrize("close", ["os.close(2)", "os.close(2); os.open('/dev/full', os.O_WRONLY)"])
def test_nowhere_to_write_is_no_error(close):
    assert errors(f"{close}\nlog = Log()\nlog.say('error', 'x')\nlog.say('error', 'y')") == ""


def test_a_reader_that_is_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    process = python("log = Log()\nlog.say('error', 'x')\nlog.say('error', 'y')", stderr=writing)
    os.close(writing)
    assert process.wait(PATIENCE) == 0


def test_streams_that_are_missing_are_opened(tmp_path):
    code = f"""
os.closerange(0, 3)
sys.stderr = None
open_missing_stdio()
pipe = os.pipe()
sys.stderr.write('nobody reads this')
streams = [os.readlink(f'/proc/self/fd/{{fd}}') for fd in range(3)]
open({str(tmp_path / "told")!r}, 'w').write(f'{{streams}} {{min(pipe)}}')
"""
    assert python(code).wait(PATIENCE) == 0
    assert (tmp_path / "told").read_text() == f"{['/dev/null'] * 3} 3"
