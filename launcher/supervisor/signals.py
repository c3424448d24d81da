"""Signals: which there are, who acts on them, and how none is lost around a fork.

Guarantees: a handler only records the number in a list, and bytes in the wake-up pipe only wake the
loop, so a full pipe loses nothing.  All signals are blocked while a process forks; the child gives
every disposition back before it unblocks them, so no signal is ever handled in the wrong process.
It imports only what every Python has loaded, for `launcher exec` runs on it; and eventlet replaces
functions of `os`, but not those of `posix`.
"""

import _signal  # not `signal`: its enums cost 5 ms, and this runs before anything else
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ALL = frozenset(_signal.valid_signals())
UNCATCHABLE = frozenset({_signal.SIGKILL, _signal.SIGSTOP})
# A real fault comes back at once when it is ignored; one that was sent is not worth the risk here.
FAULTS = frozenset(
    {_signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL, _signal.SIGTRAP, _signal.SIGSYS, _signal.SIGABRT}
)
# Left as they are: writing to a closed pipe is an error code, and Ctrl-Z stops the supervisor too.
LEFT_ALONE = frozenset({_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGTSTP, _signal.SIGCONT})
HANDLED = ALL - UNCATCHABLE - FAULTS - LEFT_ALONE
TERMINAL_STOPS = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)
PYTHON_IGNORES = (_signal.SIGPIPE, _signal.SIGXFSZ)
RECORDED = b"\0"  # in the wake-up pipe, where the interpreter writes the numbers of signals


def block_all() -> frozenset[int]:
    """Block every signal in this thread and return the mask that was in force."""
    return frozenset(_signal.pthread_sigmask(_signal.SIG_BLOCK, ALL))


def restore(mask: "Iterable[int]") -> None:
    """With all blocked, put back a mask that `block_all` returned; what arrived meanwhile is delivered now."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, ALL.difference(mask))  # setting it would touch the C library's own


def clean_slate() -> None:
    """In a forked child, with all signals blocked: every disposition to default, then an empty mask.

    That includes SIGPIPE and SIGXFSZ, which Python ignores and an exec would pass on.
    """
    _signal.set_wakeup_fd(-1)
    for signum in ALL - UNCATCHABLE:
        try:
            _signal.signal(signum, _signal.SIG_DFL)
        except OSError:  # the C library keeps some real-time signals for itself
            continue
    restore(())


def ignore_as_python_does() -> None:
    """Undo the part of `clean_slate` that a Python program must not have: a closed socket is an error code."""
    for signum in PYTHON_IGNORES:
        _signal.signal(signum, _signal.SIG_IGN)


class SignalInbox:
    """The signals that arrived and were not taken yet; `fd` is readable when there are some.

    Parameters: the signals to catch; `at_once`, to be called in the handler itself, so also where nobody ever takes.
    Close it to give the dispositions back.  There may be several, as a program may have several launchers.
    """

    unrecorded: "frozenset[int]" = frozenset()
    """What the last `take` knows to have arrived for handlers that had not run then: the main thread runs them."""

    def __init__(self, signums: "Iterable[int]", at_once: "Callable[[int], object] | None" = None) -> None:
        self._at_once = at_once
        self.fd, self._write_fd = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        self._arrived: list[int] = []
        self._before: dict[int, Callable[..., object] | int | None] = {}
        self._wakeup_before = _signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for signum in signums:
            self.catch(signum)
        _open.append(self)

    def catches(self, signum: int) -> bool:
        """Whether a signal is among those to catch."""
        return signum in self._before

    def catch(self, signum: int) -> None:
        """Catch one signal more.  Raises ValueError in another thread than the main one."""
        self._before[signum] = _signal.signal(signum, self.record)

    def release(self, signum: int) -> None:
        """Give a signal back to whoever had it before."""
        handler = self._before.pop(signum)
        for later in _open:
            if later._before.get(signum) == self.record:  # noqa: SLF001
                later._before[signum] = handler  # noqa: SLF001
                return
        _signal.signal(signum, handler if handler is not None else _signal.SIG_DFL)

    def record(self, signum: int, _frame: object) -> None:
        """Remember a signal: the handler of all of them.  An inbox that had it before hears of it as well."""
        self._arrived.append(signum)
        if self._at_once is not None:
            self._at_once(signum)
        before = self._before.get(signum)
        if isinstance(getattr(before, "__self__", None), SignalInbox):
            before(signum, _frame)  # type: ignore[operator,misc]
        try:
            # Once more: the interpreter's own byte came first, and may have woken a thread to an empty list.
            posix.write(self._write_fd, RECORDED)
        except BlockingIOError:  # full, so somebody will be woken
            pass

    def take(self) -> list[int]:
        """Return the signals that arrived since the last call, each once, and empty the pipe."""
        told: set[int] = set()
        try:
            while data := posix.read(self.fd, 4096):
                told.update(data)
        except BlockingIOError:
            pass
        # The pipe first: a signal from here on leaves a byte and is seen next time.
        taken: dict[int, None] = {}  # in order of arrival
        while self._arrived:  # one by one: a handler may run between any two steps
            taken[self._arrived.pop(0)] = None
        self.unrecorded = frozenset(told.difference(taken, RECORDED))
        return list(taken)

    def fds(self) -> tuple[int, int]:
        """Return the descriptors a forked child has to close."""
        return self.fd, self._write_fd

    def close(self) -> None:
        """Give the signals back to whoever had them before; one that was made later keeps them."""
        _open.remove(self)
        for signum in list(self._before):
            self.release(signum)
        for later in _open:
            if later._wakeup_before == self._write_fd:  # noqa: SLF001
                later._wakeup_before = self._wakeup_before  # noqa: SLF001
                break
        else:
            _signal.set_wakeup_fd(self._wakeup_before)
        for fd in self.fds():
            posix.close(fd)


_open: list[SignalInbox] = []


def close_all() -> None:
    """In a forked child: close the inboxes of the parent."""
    for inbox in _open:
        inbox.close()


def name_of(signum: int) -> str:
    """Return `TERM` for 15, `RTMIN+1` for 35, a number for what has no name."""
    if _signal.SIGRTMIN <= signum <= _signal.SIGRTMAX:
        return f"RTMIN+{signum - _signal.SIGRTMIN}"
    return next((name for name, value in _named() if value == signum and name not in _ALIASES), str(signum))


def number_of(text: str) -> int | None:
    """Return 15 for `TERM`, `sigterm` and `15`, 35 for `RTMIN+1`; None for what is no signal."""
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.replace("-", "+-").partition("+")
    signum = dict(_named()).get(base)
    if signum is None:
        base, offset = "0", base
    elif sign and not base.startswith("RTM"):
        return None
    try:
        signum = (signum or int(base)) + int(offset or "0")
    except ValueError:
        return None
    return signum if signum in ALL and text.isascii() else None


_ALIASES = ("CLD", "POLL", "IOT")


def _named() -> "Iterable[tuple[str, int]]":
    """Yield the names that the system has for its signals."""
    for name, value in vars(_signal).items():
        if name.startswith("SIG") and not name.startswith("SIG_") and isinstance(value, int):
            yield name[3:], value
