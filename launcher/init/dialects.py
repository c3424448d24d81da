"""Whose options are spoken: our own, tini's or dumb-init's, by the name the program was called by.

Through a link named `tini` or `dumb-init` their options mean what they mean there, so an image can
change to the launcher without touching its ENTRYPOINT.  What is better here stays so: exit codes of
failures, everybody else's grace at the end, no option of the command eaten.
"""

from launcher.init.grammar import Parse, UsageError, items
from launcher.supervisor import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from launcher.init.grammar import Table

SIGSTOP, SIGCHLD = 19, 17
LONGEST = 1e6  # seconds; more is a mistake, and sigtimedwait(2) has its limits
CODES = range(256)

USAGE = """\
usage: launcher exec [OPTIONS] -- CMD [ARG...]

Runs CMD as if nothing were above it: every signal is forwarded, orphans are reaped, and when CMD has ended,
everybody else gets TERM, a grace, KILL; then this ends with CMD's exit code.

  -g, --group              signal the process group of CMD, not CMD alone
      --grace SECONDS      from TERM to KILL for everybody else when CMD has ended (default 5); a TERM meanwhile cuts it
      --rewrite FROM:TO    send TO in place of FROM; names or numbers, 0 is nothing; repeatable
      --delay SIG:SECONDS  hold SIG back for so long, a second one goes at once; repeatable
      --ok-exit WHAT,...   exit codes, or signals that killed CMD, that stand for exit code 0
      --pdeathsig SIG      CMD gets SIG when our parent ends, or we are killed
  -w, --warn-reap          a line on stderr for every orphan reaped
  -q, --quiet              no line about how CMD ended
  -v, --verbose            a line about everything
  -h, --help

Each also as a variable: LAUNCHER_EXEC_GRACE=2, LAUNCHER_EXEC_GROUP=1, LAUNCHER_EXEC_REWRITE=TERM:QUIT,HUP:USR1.
Exit codes: CMD's own; 128+n if signal n killed it; 127 not found; 126 cannot be executed; 125 wrong usage."""
TINI = """\
usage: tini [OPTIONS] PROGRAM -- [ARGS] (this is `launcher exec`)

  -p SIG  parent death signal     -g    signal the process group
  -e N    exit code N becomes 0   -w    warn when orphans are reaped
  -v      more verbose            -s    be a subreaper: always the case
  -h      this help               -l    the licence       --version"""
DUMB_INIT = """\
usage: dumb-init [OPTIONS] PROGRAM [ARGS] (this is `launcher exec`)

  -c, --single-child  signal the program alone, not its process group
  -r, --rewrite S:R   send R in place of S; 0 is nothing
  -v, --verbose       a line about everything
  -h, --help          this help
  -V, --version"""


class Dialect:
    """One program's options.

    Parameters: its options; what holds before any of them is read, given its variables; what it makes of
    the words that follow them.
    """

    def __init__(
        self,
        table: "Table",
        begin: "Callable[[Parse, Mapping[str, str]], None]" = lambda _state, _variables: None,
        rest: "Callable[[list[bytes]], list[bytes]]" = lambda words: words,
    ) -> None:
        self.table, self.begin, self.rest = table, begin, rest


def _group(state: Parse, _value: str) -> None:
    state.options.group = True


def _single_child(state: Parse, _value: str) -> None:
    state.options.group = False
    for signum in signals.TERMINAL_STOPS:
        state.options.rewrite.pop(signum, None)


def _grace(state: Parse, value: str) -> None:
    state.options.grace = _seconds(value)


def _rewrite(state: Parse, value: str) -> None:
    for item in items(value):
        source, target = _pair(item, "FROM:TO")
        state.options.rewrite[_catchable(source)] = 0 if target == "0" else _signal(target)


def _delay(state: Parse, value: str) -> None:
    for item in items(value):
        signum, seconds = _pair(item, "SIG:SECONDS")
        state.options.delay[_catchable(signum)] = _seconds(seconds)


def _ok_exit(state: Parse, value: str) -> None:
    for item in items(value):
        code = int(item) if item.isascii() and item.isdigit() else 128 + _signal(item)
        if code not in CODES:
            raise UsageError(f"{item!r} is no exit code: 0 to 255, or a signal's name")
        state.options.ok_exit.add(code)


def _pdeathsig(state: Parse, value: str) -> None:
    state.options.pdeathsig = _signal(value)


def _warn_reap(state: Parse, _value: str) -> None:
    state.options.warn_reap = True


def _quiet(state: Parse, _value: str) -> None:
    state.options.quiet = True


def _verbose(state: Parse, _value: str) -> None:
    state.options.verbose = state.options.warn_reap = True


def _nothing(_state: Parse, _value: str) -> None:
    """What is asked for is always the case."""


def _tell(text: str) -> "Callable[[Parse, str], None]":
    def apply(state: Parse, _value: str) -> None:
        state.text = text

    return apply


def _version(state: Parse, _value: str) -> None:
    from launcher import __version__

    state.text = f"launcher {__version__}"


def _pair(item: str, form: str) -> tuple[str, str]:
    first, colon, second = item.partition(":")
    if not colon:
        raise UsageError(f"{item!r} is not of the form {form}")
    return first, second


def _signal(text: str) -> int:
    signum = signals.number_of(text)
    if signum is None:
        raise UsageError(f"{text!r} is no signal")
    return signum


def _catchable(text: str) -> int:
    signum = _signal(text)
    if signum in signals.UNCATCHABLE or signum == SIGCHLD:
        raise UsageError(f"{text} is never forwarded")
    return signum


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        raise UsageError(f"{text!r} is no number of seconds") from None
    if not 0 <= seconds <= LONGEST:
        raise UsageError(f"{text} seconds are not between 0 and {LONGEST:.0f}")
    return seconds


def _begin_tini(state: Parse, variables: "Mapping[str, str]") -> None:
    state.options.group = "TINI_KILL_PROCESS_GROUP" in variables
    state.options.quiet = variables.get("TINI_VERBOSITY") == "0"
    state.options.shell_fallback = True


def _rest_of_tini(words: list[bytes]) -> list[bytes]:
    """Drop the `--` of `tini PROGRAM -- ARGS`: it would look for its own options up to there."""
    at = words.index(b"--") if b"--" in words else 0
    if any(word.startswith(b"-") for word in words[:at]):
        return words
    return words[:at] + words[at + 1 :] if at else words


def _begin_dumb_init(state: Parse, variables: "Mapping[str, str]") -> None:
    state.options.group = True
    state.options.rewrite = dict.fromkeys(signals.TERMINAL_STOPS, SIGSTOP)
    if variables.get("DUMB_INIT_SETSID") == "0":
        _single_child(state, "")
    if variables.get("DUMB_INIT_DEBUG") == "1":
        _verbose(state, "")
    state.options.shell_fallback = True


EXEC = Dialect(
    {
        "-g": ("", _group),
        "--group": ("", _group),
        "--grace": ("SECONDS", _grace),
        "--rewrite": ("FROM:TO", _rewrite),
        "--delay": ("SIG:SECONDS", _delay),
        "--ok-exit": ("CODE|SIG", _ok_exit),
        "--pdeathsig": ("SIG", _pdeathsig),
        "-w": ("", _warn_reap),
        "--warn-reap": ("", _warn_reap),
        "-q": ("", _quiet),
        "--quiet": ("", _quiet),
        "-v": ("", _verbose),
        "--verbose": ("", _verbose),
        "-h": ("", _tell(USAGE)),
        "--help": ("", _tell(USAGE)),
    }
)
ALL = {
    "exec": EXEC,
    "tini": Dialect(
        {
            "-p": ("SIG", _pdeathsig),
            "-s": ("", _nothing),
            "-v": ("", _verbose),
            "-w": ("", _warn_reap),
            "-g": ("", _group),
            "-e": ("N", _ok_exit),
            "-l": ("", _tell("Apache-2.0: https://www.apache.org/licenses/LICENSE-2.0")),
            "-h": ("", _tell(TINI)),
            "--version": ("", _version),
        },
        _begin_tini,
        _rest_of_tini,
    ),
    "dumb-init": Dialect(
        {
            "-c": ("", _single_child),
            "--single-child": ("", _single_child),
            "-r": ("S:R", _rewrite),
            "--rewrite": ("S:R", _rewrite),
            "-v": ("", _verbose),
            "--verbose": ("", _verbose),
            "-h": ("", _tell(DUMB_INIT)),
            "--help": ("", _tell(DUMB_INIT)),
            "-V": ("", _version),
            "--version": ("", _version),
        },
        _begin_dumb_init,
    ),
}
