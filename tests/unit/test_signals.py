"""The signal table, the child's clean slate, and the inbox."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from signal import SIGHUP, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from launcher.supervisor.signals import ALL, FAULTS, HANDLED, SignalInbox, name_of

SETS = """
import os, signal
from launcher.supervisor import signals

def sets():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    for name in ("SigBlk", "SigIgn", "SigCgt"):
        mask = int(lines[name], 16)
        # The C library keeps 32 and 33 for itself.
        print(*(int(number) for number in sorted(signal.valid_signals()) if mask >> number - 1 & 1), sep=",")
"""
UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP}


@pytest.fixture
def inbox():
    inbox = SignalInbox((SIGUSR1, SIGUSR2, SIGHUP))
    yield inbox
    inbox.close()


def readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


def sets(printed):
    return [{int(number) for number in line.split(",") if number} for line in printed.splitlines()]


# Dispositions and masks


def test_a_clean_slate_has_nothing_blocked_ignored_or_caught(python):
    printed = python(
        SETS
        + """
signals.block_all()
inbox = signals.SignalInbox(signals.HANDLED)
for number in (signal.SIGUSR1, signal.SIGTSTP, signal.SIGRTMAX):
    signal.signal(number, signal.SIG_IGN)
sets()
signals.clean_slate()
sets()
"""
    )
    blocked, ignored, caught, *cleaned = sets(printed)
    assert blocked
    assert {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGUSR1, signal.SIGTSTP, signal.SIGRTMAX} == ignored
    assert caught
    assert cleaned == [set(), set(), set()]


def test_a_clean_slate_writes_to_no_inherited_pipe(python):
    printed = python(
        SETS
        + """
inbox = signals.SignalInbox([signal.SIGUSR1])
signals.clean_slate()
print(signal.set_wakeup_fd(-1))
"""
    )
    assert printed == "-1\n"


def test_a_python_program_ignores_what_python_ignores(python):
    printed = python(SETS + "signals.clean_slate()\nsignals.ignore_as_python_does()\nsets()")
    assert sets(printed) == [set(), {signal.SIGPIPE, signal.SIGXFSZ}, set()]


def test_everything_is_blocked_and_delivered_afterwards(python):
    printed = python(
        SETS
        + """
signal.signal(signal.SIGUSR1, lambda *_: print("delivered", flush=True))
before = signals.block_all()
sets()
os.kill(os.getpid(), signal.SIGUSR1)
print("not yet", flush=True)
signals.restore(before)
sets()
"""
    )
    blocked, _, _, not_yet, delivered, blocked_afterwards, *_ = printed.splitlines()
    assert ALL - sets(blocked)[0] == UNCATCHABLE
    assert (not_yet, delivered, blocked_afterwards) == ("not yet", "delivered", "")


def test_every_signal_but_those_of_the_kernel_is_handled():
    assert not HANDLED & (UNCATCHABLE | FAULTS)
    assert {SIGTERM, SIGHUP, signal.SIGCHLD, signal.SIGTTIN, signal.SIGWINCH, signal.SIGRTMIN} <= HANDLED


# The inbox


def test_signals_are_taken_in_order_and_each_once(inbox):
    for signum in (SIGUSR2, SIGHUP, SIGUSR2, SIGUSR1, SIGHUP):
        signal.raise_signal(signum)
    assert inbox.take() == [SIGUSR2, SIGHUP, SIGUSR1]
    assert inbox.take() == []


def test_the_descriptor_wakes_and_is_silent_afterwards(inbox):
    assert not readable(inbox.fd)
    signal.raise_signal(SIGUSR1)
    assert readable(inbox.fd)
    inbox.take()
    assert not readable(inbox.fd)


def test_a_full_pipe_loses_nothing(inbox):
    _, write_fd = inbox.fds()
    with suppress(BlockingIOError):
        while True:
            os.write(write_fd, bytes(65536))
    signal.raise_signal(SIGHUP)
    assert inbox.take() == [SIGHUP]
    assert not readable(inbox.fd)


def test_a_signal_at_any_step_of_taking_is_seen(python):
    printed = python(
        """
import os, select, signal, sys
from launcher.supervisor.signals import SignalInbox

inbox = SignalInbox((signal.SIGUSR1, signal.SIGUSR2))
steps = at = 0

def trace(frame, event, _argument):
    global steps
    if frame.f_code is not SignalInbox.take.__code__:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode":
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGUSR2)
    return trace

while steps >= at:
    at, steps = at + 1, 0
    os.kill(os.getpid(), signal.SIGUSR1)
    sys.settrace(trace)
    taken = inbox.take()
    sys.settrace(None)
    sent = steps >= at
    while select.select([inbox.fd], [], [], 0)[0]:
        taken += inbox.take()
    if taken.count(signal.SIGUSR2) != sent or signal.SIGUSR1 not in taken:
        print("lost at step", at)
print(at > 20)
"""
    )
    assert printed == "True\n"


def test_a_closed_inbox_gives_back_what_it_took():
    heard = []
    before = signal.signal(SIGUSR1, lambda signum, _: heard.append(signum))
    outer = SignalInbox([SIGUSR1])
    SignalInbox([SIGUSR1]).close()
    signal.raise_signal(SIGUSR1)
    assert readable(outer.fd), "the wake-up descriptor is the outer one's again"
    assert outer.take() == [SIGUSR1]
    fds = outer.fds()
    outer.close()
    signal.raise_signal(SIGUSR1)
    assert heard == [SIGUSR1]
    signal.signal(SIGUSR1, before)
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_descriptors_of_an_inbox_are_not_passed_on(inbox):
    assert not any(map(os.get_inheritable, inbox.fds()))


@pytest.mark.parametrize(
    ("signum", "name"),
    [(15, "TERM"), (9, "KILL"), (17, "CHLD"), (34, "RTMIN+0"), (35, "RTMIN+1"), (64, "RTMIN+30"), (77, "77")],
)
def test_signals_have_names(signum, name):
    assert name_of(signum) == name


def test_a_recorded_signal_wakes_whoever_was_too_early(inbox):
    os.write(inbox.fds()[1], bytes([SIGUSR1]))  # as the interpreter does, before it has the main thread record it
    assert inbox.take() == []
    assert inbox.unrecorded == {SIGUSR1}
    assert not readable(inbox.fd)
    inbox.record(SIGUSR1, None)
    assert readable(inbox.fd)
    assert (inbox.take(), inbox.unrecorded) == ([SIGUSR1], frozenset())


def test_a_full_pipe_is_no_obstacle_to_a_handler(inbox):
    with suppress(BlockingIOError):
        while True:
            os.write(inbox.fds()[1], bytes(4096))
    inbox.record(SIGUSR1, None)
    assert (inbox.take(), inbox.unrecorded) == ([SIGUSR1], frozenset())
