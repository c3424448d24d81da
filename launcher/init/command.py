"""`launcher exec [OPTIONS] -- CMD [ARG...]`: an init for any one command.

Guarantees: until the command runs, only what it takes to start it is imported, for start-up time is
what an init in Python has to be ashamed of; so this is not in `launcher.cli`, which would be one package more.
The rest is imported while the command executes, and before our working directory changes.
"""

import _signal
import posix

from launcher.init import child, environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from launcher.init.options import Options

EXIT_USAGE = 125
EXIT_CANNOT_FORK = 126
STDOUT, STDERR = 1, 2
SIGNALLED = 128  # a command killed by signal n has the exit code 128 + n, as in a shell
# Seconds until the command executes, when all goes well.  As long as it shares our memory, each page that one of us
# writes to is copied: whatever we did meanwhile would slow it down.  Its end ends the wait.
STILL = 0.003
PREFIX = b"LAUNCHER_EXEC_"
CUTS_GRACE = frozenset({_signal.SIGTERM, _signal.SIGINT, _signal.SIGQUIT})


def run(arguments: "Sequence[str]", mask: "Iterable[int]", dialect: str = "exec") -> "NoReturn":
    """Do as `main` does, and leave without the interpreter's own end, which takes its time and has nothing to do."""
    posix._exit(main(arguments, mask, dialect))  # noqa: SLF001 - the function's name


def main(arguments: "Sequence[str]", mask: "Iterable[int]", dialect: str = "exec") -> int:
    """Run a command until it is over; return the exit code.

    Parameters: `mask`, the signal mask that this process was started with; `dialect`, whose options these are.
    All signals are blocked by the caller.
    """
    # Ignored, no child could be waited for.
    inherited = child.Inherited(mask, _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL))
    words = environment.arguments(len(arguments))
    if dialect == "exec" and words[:1] == [b"--"] and len(words) > 1 and not any(map(_is_ours, posix.environ)):
        return _run(words[1:], None, inherited)
    return _parse_and_run(words, dialect, inherited)


def _is_ours(name: bytes) -> bool:
    return name.startswith(PREFIX)


def _parse_and_run(words: list[bytes], dialect: str, inherited: child.Inherited) -> int:
    from launcher.init import grammar, report
    from launcher.supervisor import signals

    try:
        parsed = grammar.parse(words, posix.environ, dialect)
    except grammar.UsageError as error:
        report.fail(f"{error}; see --help")
        return EXIT_USAGE
    if parsed.text:
        signals.restore(inherited.mask)
        return _print(parsed.text)
    return _run(parsed.command, parsed.options, inherited)


def _print(text: str) -> int:
    from launcher.init import report

    try:
        posix.write(STDOUT, f"{text}\n".encode())
    except OSError as failure:
        report.fail(f"cannot write to stdout: {posix.strerror(failure.errno or 0).lower()}")
        return EXIT_USAGE
    return 0


def _run(command: list[bytes], options: "Options | None", inherited: child.Inherited) -> int:
    if posix.getpid() != 1:
        from launcher.supervisor import reaper

        reaper.adopt_orphans()  # before the fork, or a command that is quick has orphans that we miss
    try:
        pid = child.start(command, options, inherited)
    except OSError as failure:
        from launcher.init import report

        report.fail(f"cannot fork: {posix.strerror(failure.errno or 0).lower()}")
        return EXIT_CANNOT_FORK
    return _wait(pid, command[0], options)


def _wait(pid: int, name: bytes, options: "Options | None") -> int:
    _signal.sigtimedwait({_signal.SIGCHLD}, STILL)
    from launcher.init import report
    from launcher.init.loop import Loop
    from launcher.init.options import Options
    from launcher.supervisor import reaper
    from launcher.supervisor.cgroup import OomKills

    options = options or Options()
    oom_kills = OomKills()
    _let_go()
    loop = Loop(pid, options)
    if options.verbose:
        report.say(f"runs {report.shown(name)} as PID {pid}")
    end = loop.run()
    loop.take_terminal_back()
    code = end.si_status if end.si_code == posix.CLD_EXITED else SIGNALLED + end.si_status
    ok = code in options.ok_exit
    if end.si_code != posix.CLD_EXITED and not ok and not options.quiet:
        report.killed(name, end, loop.sender_of(end.si_status), oom_kills)
    reaper.sweep(options.grace, cut_by=CUTS_GRACE, reaped=report.reaped if options.warn_reap else None)
    return 0 if ok else code


def _let_go() -> None:
    """Pin neither a file system nor what was passed to the command; stdio stays, `/proc/1/fd/1` is in wide use."""
    try:
        posix.chdir("/")
        fds = [int(name) for name in posix.listdir("/proc/self/fd")]
    except OSError:
        return
    for fd in fds:
        if fd > STDERR:
            _close(fd)


def _close(fd: int) -> None:
    try:
        posix.close(fd)
    except OSError:  # the one that listed them
        pass
