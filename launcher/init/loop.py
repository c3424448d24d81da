"""The wait: signals in, signals out, until the command has ended.

Everything is blocked, also what a fault would raise: a real fault the kernel forces upon us all the
same, and what arrives here was sent by a process.  So one read hears of all, without handler, thread or
time limit (inbox.py); real-time signals queue and keep their order.  With nothing to do it makes no
system call.
"""

import _signal
import posix
from time import monotonic

from launcher.init import inbox, report, terminal
from launcher.init.inbox import NUMBER, SIGNALS, SIZE, Inbox
from launcher.supervisor import reaper, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from launcher.init.options import Options

STORM = 5  # children heard of in one look, from which on there are likely many more to come
CALM = 0.002  # seconds
BUT_CHILDREN = [signum for signum in SIGNALS if signum != _signal.SIGCHLD]
CHANGES = posix.WEXITED | posix.WSTOPPED | posix.WCONTINUED


class Loop:
    """The wait for one command.

    Parameters: its PID, which is its process group as well; what was asked for.
    """

    def __init__(self, pid: int, options: "Options") -> None:
        self._pid, self._options = pid, options
        self._target = -pid if options.group else pid
        self._is_stopped = self._is_in_storm = False
        self._delayed: dict[int, float] = {}  # when a signal that is held back is due
        self._inbox = Inbox()
        self._last = [b""] * _signal.NSIG  # what was last forwarded as this signal
        decides = SIGNALS if options.verbose else {_signal.SIGCHLD, _signal.SIGCONT, *options.rewrite, *options.delay}
        self._needs_a_look = [signum in decides for signum in range(_signal.NSIG)]

    def run(self) -> "posix.waitid_result":
        """Forward signals and reap until the command has ended; return how it has."""
        end = self._hear_children()  # the CHLD may have been taken already
        while end is None:
            arrived = self._next() if self._delayed or self._is_in_storm else self._pass_on()
            if arrived is None:
                self._send_what_is_due()
            elif arrived[NUMBER] != _signal.SIGCHLD:
                self._take(arrived)
            else:
                end = self._hear_children()
        return end

    def sender_of(self, signum: int) -> str:
        """Return who sent a signal that was forwarded; "" if none was."""
        return inbox.sender(self._last[signum])

    def take_terminal_back(self) -> None:
        """Once the command has ended: who comes after us, a script for instance, expects the foreground it had."""
        front = terminal.foreground()
        if front == self._pid or (front and _is_empty(front)):
            terminal.set_foreground(posix.getpgrp())

    def _pass_on(self) -> bytes:
        """Forward what asks for no decision, by the shortest way; return the first signal that does."""
        read, fd, size, number = self._inbox.read, self._inbox.fd, SIZE, NUMBER
        kill, target, last, needs_a_look = posix.kill, self._target, self._last, self._needs_a_look
        while True:  # with a condition here Python 3.11 would not see that it is worth speeding up
            arrived = read(fd, size)
            signum = arrived[number]
            if needs_a_look[signum]:
                return arrived
            try:
                kill(target, signum)
            except OSError:
                return arrived
            last[signum] = arrived

    def _next(self) -> bytes | None:
        """Wait for a signal as long as nothing else is due; None when it is.

        For each look at the children the kernel walks through all who live, and none can end meanwhile.  Where
        thousands do, looking at once would make it last longer, and burn a CPU for it.
        """
        if self._is_in_storm:
            self._is_in_storm = False
            return inbox.wait(CALM, BUT_CHILDREN)
        return inbox.wait(max(min(self._delayed.values()) - monotonic(), 0))

    # Signals

    def _take(self, arrived: bytes) -> None:
        signum = arrived[NUMBER]
        sent = self._options.rewrite.get(signum, signum)
        if signum in self._options.delay and signum not in self._delayed:
            self._delayed[signum] = monotonic() + self._options.delay[signum]
        elif sent:
            self._delayed.pop(signum, None)  # asked for twice: now
            self._send(sent)
        self._last[sent] = arrived

    def _send_what_is_due(self) -> None:
        now = monotonic()
        for signum in [signum for signum, due in self._delayed.items() if due <= now]:
            del self._delayed[signum]
            if sent := self._options.rewrite.get(signum, signum):
                self._send(sent)

    def _send(self, signum: int) -> None:
        if self._options.verbose:
            report.say(f"forwards {signals.name_of(signum)}")
        if signum == _signal.SIGCONT:
            self._continue()
        else:
            self._kill(self._target, signum)

    def _continue(self) -> None:
        if terminal.have_foreground():  # the shell's `fg` gave it to us
            terminal.set_foreground(self._pid)
        # Ctrl-Z stopped all of its group.
        self._kill(-self._pid if self._is_stopped else self._target, _signal.SIGCONT)

    def _kill(self, target: int, signum: int) -> None:
        try:
            posix.kill(target, signum)
        except ProcessLookupError:  # a group that everybody has left: not the command, which is not reaped yet
            if target < 0:
                self._kill(-target, signum)
        except PermissionError:
            if not self._options.quiet:
                name = signals.name_of(signum)
                report.say(f"warning: not permitted to send {name} to {target}, which has another user")

    # Children

    def _hear_children(self) -> "posix.waitid_result | None":
        """Reap; return how the command ended, if it has."""
        end, heard = None, 0
        for change in reaper.changes(CHANGES):
            heard += 1
            if change.si_pid != self._pid:
                self._hear_orphan(change)
            elif change.si_code == posix.CLD_STOPPED:
                self._stopped(change.si_status)
            elif change.si_code == posix.CLD_CONTINUED:
                self._is_stopped = False
            else:
                end = change
        self._is_in_storm = heard >= STORM
        return end

    def _hear_orphan(self, change: "posix.waitid_result") -> None:
        if self._options.warn_reap and change.si_code not in {posix.CLD_STOPPED, posix.CLD_CONTINUED}:
            report.reaped(change.si_pid)

    def _stopped(self, signum: int) -> None:
        """Stop as well, so that the shell above sees it and takes the terminal; its CONT is forwarded later."""
        self._is_stopped = True
        if posix.getpid() == 1:
            return
        front = terminal.foreground()
        if (
            front is None and signum not in signals.TERMINAL_STOPS
        ):  # no shell waits for this: whoever stopped it continues it
            return
        if front == posix.getpgrp() and signum in {_signal.SIGTTIN, _signal.SIGTTOU}:
            self._continue()  # `fg` without a CONT: it may use the terminal after all
            return
        if front == self._pid and signum == _signal.SIGTSTP:  # Ctrl-Z is meant for the whole pipeline
            if posix.getsid(0) == posix.getpid():  # no shell above: where nobody could continue it, nothing stops
                posix.kill(-self._pid, _signal.SIGCONT)
                return
            posix.kill(0, _signal.SIGTSTP)  # ours stays blocked, and CONT takes it back
        posix.kill(posix.getpid(), _signal.SIGSTOP)


def _is_empty(group: int) -> bool:
    try:
        posix.kill(-group, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
