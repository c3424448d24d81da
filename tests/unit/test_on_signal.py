"""Which signals an application may ask for."""

from __future__ import annotations

import signal

import pytest

from launcher import on_signal


@pytest.mark.parametrize(
    ("which", "why"),
    [
        ("TERM", "TERM cannot be handled by an application: it stops the worker; .* the service's stop()"),
        (signal.SIGHUP, "HUP cannot .*: it reloads; .* the service's reset()"),
        ("SIGINT", "INT cannot .*: the supervisor speaks for the terminal"),
        ("QUIT", "QUIT cannot .*: the supervisor speaks for the terminal"),
        ("URG", "URG cannot .*: the launcher wakes its own threads"),
        ("KILL", "KILL cannot .*: the kernel lets nobody catch it"),
        ("SEGV", "SEGV cannot .*: it says that the process is broken"),
        ("NONSENSE", "'NONSENSE' is no signal"),
        (0, "0 is no signal"),
        (99, "99 is no signal"),
    ],
)
def test_what_cannot_be_had(which, why):
    with pytest.raises(ValueError, match=f"^{why}"):
        on_signal(which, print)


def test_only_the_main_thread_can(python):
    assert "RuntimeError: a handler of USR1 can be added in the main thread only" in python("""
        import threading, traceback
        from launcher import on_signal
        from launcher.service.signals import HANDLERS
        from launcher.supervisor.signals import SignalInbox
        HANDLERS.attach(SignalInbox(()))
        def add():
            try:
                on_signal("USR1", print)
            except RuntimeError:
                print(traceback.format_exc())
        thread = threading.Thread(target=add)
        thread.start()
        thread.join()
    """)
