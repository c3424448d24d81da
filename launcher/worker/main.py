"""What a worker does from its fork to its end: run one service, listen to its supervisor.

Guarantees: a TERM before the service starts ends the worker at once, and one from then on stops it
gracefully, once however often it comes; signals and the lifeline wake the worker by a descriptor, never
by a timer; no worker goes on without its supervisor, not even one that is stuck in a loop.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import random
import signal
import socket
import sys
import traceback
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from launcher.errors import LauncherError
from launcher.service import identity, quota, readiness
from launcher.service.services import Launcher
from launcher.service.signals import HANDLERS
from launcher.supervisor.notices import Ready, Spent, announce
from launcher.supervisor.pacing import lowered
from launcher.supervisor.signals import SignalInbox, close_all, name_of
from launcher.worker import backends
from launcher.worker.handlers import ignore, unclaimed
from launcher.worker.parent import die_with, is_child_of, wait_for_end
from launcher.worker.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from launcher.service.tls import TLS
    from launcher.supervisor.scoreboard import Seat
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Ties
    from launcher.worker.copying import Original, Request
    from launcher.worker.hooks import WorkerInfo

OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
# And USR2; but a report of the application's own is left in place, for it comes where nothing yields, too.
FORWARDED = (signal.SIGUSR1, signal.SIGWINCH)  # an application that has no use for them must not die of them
NUDGE = signal.SIGURG  # `Backend.nudge`; without a handler it would interrupt nothing
logger = logging.getLogger("launcher.worker")
_early: list[int] = []  # signals that came before the worker could obey them


@dataclass(frozen=True, slots=True)
class Given:
    """What the supervisor has sent for a worker."""

    who: WorkerInfo
    listeners: Sequence[int]
    """Descriptors of listening sockets, which are taken over."""
    original: Original | None = None
    """With it the worker may be asked for a copy of itself."""
    tls: TLS | None = None
    """What to speak on the listeners."""


def run(make: Callable[[], Any], conf: Any, settings: Settings, ties: Ties, given: Given) -> int:
    """Run the service that `make` makes; return the exit code."""
    backends.current().after_fork()
    _take_seat(ties.scoreboard.seat(ties.seat))
    reseed()
    identity.become(given.who.slot)
    faulthandler.enable()  # ABRT shows where it hangs
    if not die_with(ties.supervisor, signal.SIGTERM):
        return 1
    listeners = tuple(socket.socket(fileno=fd) for fd in given.listeners)
    try:
        return Worker(conf, settings, ties, given).run(make, listeners)
    except LauncherError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"launcher: error: {line}\n")
        return error.exit_code


def forget_handlers() -> None:
    """In a forked child, with signals blocked: let go of what the program does on the signals that are ours.

    Until the worker has its own, TERM ends it, HUP is kept for later and the others do nothing.
    """
    close_all()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ignore(*OURS[1:], *unclaimed(signal.SIGUSR2))


def obey_signals(inbox: SignalInbox, obey: Callable[[int], object]) -> None:
    """Call `obey` for every signal that arrives; sleeps on a descriptor meanwhile."""
    while True:
        backends.current().wait_readable(inbox.fd)
        for signum in inbox.take():
            obey(signum)
        if inbox.unrecorded - {NUDGE}:
            backends.current().nudge()


def reseed() -> None:
    """Give this process random numbers of its own: forked ones would all draw the same."""
    random.seed()
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()


def _take_seat(seat: Seat) -> None:
    """Say in the scoreboard what this process is at, but not what those are that the application forks off it."""
    seat.take()
    os.register_at_fork(after_in_child=seat.leave)
    backends.current().beat(seat)


class Worker:
    """One service in one process.

    Parameters: the application's configuration, the supervisor's settings, the ties to it, and what it has sent.
    """

    def __init__(self, conf: Any, settings: Settings, ties: Ties, given: Given) -> None:
        self._backend = backends.current()
        self._conf = conf
        self._patience = settings.policy.graceful_shutdown_timeout
        self._mutates = settings.reset_on_hup
        self._max_requests, self._jitter = settings.max_requests, settings.policy.limit_jitter
        self._ties = ties
        self._launcher = Launcher(conf)
        self._stop, self._wake = self._backend.event(), self._backend.event()
        self._original, self._who, self._tls = given.original, given.who, given.tls
        self._backdoor_socket = settings.backdoor_socket
        self._requests: list[Request] = []
        self._resets = Turns(self._reset)
        self._orphaned = False
        self._inbox = SignalInbox((*OURS, *unclaimed(signal.SIGUSR2)))
        signal.signal(signal.SIGTERM, self._on_term)
        ignore(*(signum for signum in (*FORWARDED, NUDGE) if signal.getsignal(signum) == signal.SIG_DFL))
        HANDLERS.inherit()
        HANDLERS.attach(self._inbox)
        while _early:
            self._inbox.record(_early.pop(), None)

    def run(self, make: Callable[[], Any], listeners: tuple[socket.socket, ...]) -> int:
        """Start the service, serve until told to stop, stop it; return the exit code."""
        self._backend.spawn(obey_signals, self._inbox, self._obey)
        self._backend.spawn(self._watch_supervisor)
        with self._backdoor():
            return self._serve(make, listeners)

    def _backdoor(self) -> AbstractContextManager[object]:
        if not self._backdoor_socket:
            return nullcontext()
        from launcher.service.backdoor import Door

        names = {"conf": self._conf, "services": self._launcher.services.services}
        return closing(Door(self._backdoor_socket, worker=self._who.slot, service=self._who.service, names=names))

    def _serve(self, make: Callable[[], Any], listeners: tuple[socket.socket, ...]) -> int:
        if self._mutates:  # what we were forked from may not have seen the last HUP
            self._backend.guard(self._mutate)
            if self._tls is not None:
                self._tls.renew()
        service = make()
        if listeners:
            service.listeners = listeners
            service.tls = self._tls
        readiness.on_ready(self._say_ready)
        self._limit_requests(lambda: None)  # a WSGI service looks at its start() whether anybody counts
        self._launcher.launch_service(service)
        if not getattr(service, "announces_ready", False):
            readiness.ready()
        self._wait_for_stop()
        self._launcher.stop()
        self._launcher.wait()
        return int(self._orphaned)

    def _wait_for_stop(self) -> None:
        """Fork a copy meanwhile when one is asked for: here, for its workers are to run where our main code does."""
        if self._original is None:
            self._stop.wait()
            return
        self._backend.spawn(self._hear_requests, self._original)
        while not self._stop.is_set():
            self._wake.wait()
            self._wake = self._backend.event()
            requests, self._requests = self._requests, []
            for request in requests:
                self._original.answer(request, self._backend, self._inbox, self._stop)

    def _hear_requests(self, original: Original) -> None:
        while (request := original.wait(self._backend)) is not None:
            self._requests.append(request)
            self._wake.set()

    def _end(self) -> None:
        self._stop.set()
        self._wake.set()

    def _say_ready(self) -> None:
        announce(self._ties.notice_fd, Ready(os.getpid()))
        self._limit_requests(self._say_spent)  # from now on: who is not ready cannot be replaced

    def _limit_requests(self, then: Callable[[], object]) -> None:
        if self._max_requests:
            own = max(round(lowered(self._max_requests, self._jitter, random.random())), 1)  # noqa: S311 - no secret
            quota.limit(own, then)

    def _say_spent(self) -> None:
        self._backend.guard(announce, self._ties.notice_fd, Spent(os.getpid()))

    # Tasks beside the service

    def _obey(self, signum: int) -> None:
        match signum:
            case signal.SIGTERM:
                self._end()
            case signal.SIGHUP:
                self._resets.ask()
            case signal.SIGUSR2:
                self._backend.guard(self._dump_stacks)
            case signal.SIGINT | signal.SIGQUIT:  # the supervisor speaks for the terminal
                logger.debug("%s is for the supervisor", name_of(signum))
        HANDLERS.arrived(signum)

    def _reset(self) -> None:
        """`reload_method = reset`: the same process takes up the new configuration (oslo.service: mutate)."""
        self._mutate()
        self._launcher.services.reset()

    def _mutate(self) -> None:
        if hasattr(self._conf, "mutate_config_files"):
            self._conf.mutate_config_files()

    def _watch_supervisor(self) -> None:
        wait_for_end(self._backend, self._ties.lifeline_fd)
        logger.warning("the supervisor is gone, stopping")
        self._end_soon()
        self._end()

    def _dump_stacks(self) -> None:
        lines = [f"stacks of worker {os.getpid()}:\n"]
        for title, frame in self._backend.stacks():
            lines += [f"{title}:\n", *traceback.format_stack(frame)]
        sys.stderr.write("".join(lines))
        sys.stderr.flush()

    # In the signal handler, so also where the service never yields

    def _on_term(self, signum: int, frame: object) -> None:
        self._inbox.record(signum, frame)
        if not is_child_of(self._ties.supervisor):
            self._end_soon()

    def _end_soon(self) -> None:
        """Nobody is left to kill us when the grace is over: let the kernel do it, by SIGALRM's default."""
        self._orphaned = True
        if self._patience < inf:
            with suppress(ValueError):  # only the main thread may; an application seldom has a handler
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(self._patience, 0.001))
