"""The command that an init under test runs: does what its arguments and its stdin say, and tells on stdout.

Run with `python -I -S payload.py ROLE ARGUMENT...`.  A line is one write, so that no process tears another's.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

CLEANUP = 0.3  # seconds that a daemon needs to end in order


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def alarm() -> int:
    """Return a descriptor that is readable once a signal has come.

    A read that has not quite begun then would be waited for, and the handler run only after it.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


def wait_for_signal_or(*fds: int, woken: int) -> list[int]:
    """Return those of the descriptors that are readable, after the handlers of what has come."""
    ready, _, _ = select.select([woken, *fds], [], [])
    if woken in ready:
        os.read(woken, 4096)
    return [fd for fd in fds if fd in ready]


def lines() -> list[str]:
    """The words of each line on stdin."""
    woken, unread = alarm(), b""
    while True:
        *whole, unread = unread.split(b"\n")
        for line in whole:
            yield line.decode().split()
        if wait_for_signal_or(0, woken=woken):
            more = os.read(0, 4096)
            if not more:
                os._exit(0)
            unread += more


# Roles


def signals() -> None:
    """Tell each signal that arrives; kernel-queued, so none is merged or reordered by us."""
    all_signals = signal.valid_signals()
    signal.pthread_sigmask(signal.SIG_BLOCK, all_signals)
    say("ready")
    while True:
        say(signal.sigwaitinfo(all_signals).si_signo)


def other_user(uid: str) -> None:
    """The same as another user, whom the init may have no right to signal."""
    os.setresuid(int(uid), int(uid), int(uid))
    signals()


def unblock() -> None:
    """Let through what was blocked on entry, and wait to be killed by it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.pause()


def descriptors(path: str) -> None:
    """Write down what each open descriptor is, with its flags."""
    found = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):  # noqa: PTH208 - one descriptor open meanwhile, not two
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - not a path, `pipe:[123]`
            info = Path(f"/proc/self/fdinfo/{name}").read_text(encoding="ascii").splitlines()
        except FileNotFoundError:  # the one that listed the others
            continue
        found[int(name)] = [target, *(line for line in info if line.startswith("flags"))]
    Path(path).write_text(repr(found), encoding="utf-8")


def close_descriptor(number: str) -> None:
    """Close one that was inherited, and live on."""
    os.close(int(number))
    say("closed")
    obey()


def keeper() -> None:
    """Be PID 1 of a namespace that others enter; the kernel reaps for us."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    say("ready")
    sys.stdin.read()


def obey() -> None:
    """Do what stdin says, until it says exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    say("ready")
    for order, *arguments in lines():
        ORDERS[order](*arguments)
        say("done")


# Orders

released, release_end = os.pipe() if sys.argv[1] == "obey" else (-1, -1)


def orphan_main(code: int) -> None:
    os.close(release_end)
    os.read(released, 1)
    os._exit(code)


def orphans(count: str, code: str = "3") -> None:
    """Make processes whose parent has died; they wait for the release."""
    parent = os.fork()
    if parent == 0:
        for _ in range(int(count)):
            if os.fork() == 0:
                orphan_main(int(code))
        os._exit(0)
    os.waitpid(parent, 0)


def release() -> None:
    """Let all orphans end at once."""
    os.close(release_end)


def storm(count: str) -> None:
    """Orphans that end as they are made: some before their parent, as zombies to be inherited, some after."""
    for _ in range(int(count)):
        parent = os.fork()
        if parent == 0:
            os.fork()
            os._exit(5)
        os.waitpid(parent, 0)


def on_term_clean_up(_signum: int, _frame: object) -> None:
    say("term")
    time.sleep(CLEANUP)  # the clean-up itself, not a wait for anything
    say("cleaned")
    os._exit(0)


def on_term_stay(_signum: int, _frame: object) -> None:
    say("term")


def on_term_fork(_signum: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork():
        say("term")
        os._exit(0)


AT_TERM = {"clean": on_term_clean_up, "deaf": on_term_stay, "forking": on_term_fork}


def survivor(at_term: str, ready: int) -> None:
    signal.signal(signal.SIGTERM, AT_TERM[at_term])
    signal.signal(signal.SIGWINCH, lambda *_: say("probed"))
    woken = alarm()
    os.write(ready, b"%d" % os.getpid())
    os.close(ready)
    while True:
        wait_for_signal_or(woken=woken)


def leave(place: str, at_term: str) -> None:
    """Start one that stays when we end: `child`, in our group, `session`, in its own, or `daemon`, orphaned too."""
    made, ready = os.pipe()
    if os.fork() == 0:
        if place != "child":
            os.setsid()
        if place == "daemon" and os.fork():
            os._exit(0)
        survivor(at_term, ready)
    if place == "daemon":
        os.wait()
    say(os.read(made, 20).decode())


def probe(pid: str) -> None:
    """Have a survivor speak, after it has handled whatever came before."""
    os.kill(int(pid), signal.SIGWINCH)


def stop_survivor(pid: str) -> None:
    os.kill(int(pid), signal.SIGSTOP)


def die(signum: str) -> None:
    """End by a signal."""
    os.kill(os.getpid(), int(signum))


def tell_term() -> None:
    """Tell of a TERM instead of dying of it."""
    signal.signal(signal.SIGTERM, lambda *_: say("command-term"))


ORDERS = {
    "die": die,
    "exit": lambda code: os._exit(int(code)),
    "leave": leave,
    "orphans": orphans,
    "probe": probe,
    "release": release,
    "stop": stop_survivor,
    "storm": storm,
    "tell-term": tell_term,
}
ROLES = {
    "close": close_descriptor,
    "descriptors": descriptors,
    "keeper": keeper,
    "obey": obey,
    "other-user": other_user,
    "signals": signals,
    "unblock": unblock,
}
ROLES[sys.argv[1]](*sys.argv[2:])
