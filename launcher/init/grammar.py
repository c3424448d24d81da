"""From words to options: a command line of `launcher exec`, tini or dumb-init, and the environment.

Options end at `--` or at the first word that is none, so those of the command are never taken for ours.
Imported only where there is something to read: the plain `launcher exec -- CMD` does without.
"""

from launcher.init.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Apply = Callable[["Parse", str], None]
    Table = Mapping[str, tuple[str, Apply]]
    """Option by option, what its value is called ("" for none) and what takes it up."""

PREFIX = "LAUNCHER_EXEC_"
LIBERAL = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class UsageError(Exception):
    """The command line, or a variable, makes no sense."""


class Parse:
    """What was read so far; with `text`, that is to be printed and nothing to be run."""

    def __init__(self) -> None:
        self.options = Options()
        self.text = ""
        self.command: list[bytes] = []


def parse(words: "Sequence[bytes]", environ: "Mapping[bytes, bytes]", dialect: str) -> Parse:
    """Read what is asked for; the command line wins over the environment.  Raises `UsageError`."""
    from launcher.init import dialects

    grammar = dialects.ALL[dialect]
    state = Parse()
    variables = {_text(name): _text(value) for name, value in environ.items()}
    grammar.begin(state, variables)
    _read_environment(state, variables, dialects.EXEC.table)
    state.command = grammar.rest(scan(words, grammar.table, state))
    if not state.command and not state.text:
        raise UsageError("no command given")
    return state


def _text(word: bytes) -> str:
    return word.decode(errors="surrogateescape")


def _read_environment(state: Parse, variables: "Mapping[str, str]", table: "Table") -> None:
    for variable, value in variables.items():
        if not variable.startswith(PREFIX):
            continue
        name = "--" + variable.removeprefix(PREFIX).lower().replace("_", "-")
        if name not in table or name == "--help":
            raise UsageError(f"no option goes by the name of the variable {variable}")
        metavar, apply = table[name]
        if not value:
            continue
        try:
            if metavar or _flag(value):
                apply(state, value)
        except UsageError as error:
            raise UsageError(f"{variable}: {error}") from None


def _flag(value: str) -> bool:
    if value.lower() not in LIBERAL:
        raise UsageError(f"{value!r} is neither 1 nor 0")
    return LIBERAL[value.lower()]


def scan(words: "Sequence[bytes]", table: "Table", state: Parse) -> list[bytes]:
    """Take up the options at the beginning of `words`; return the rest.  Raises `UsageError`."""
    rest = list(words)
    while rest and rest[0].startswith(b"-") and rest[0] != b"-" and not state.text:
        word = _text(rest.pop(0))
        if word == "--":
            break
        if word.startswith("--"):
            _long(word, rest, table, state)
        else:
            _short(word[1:], rest, table, state)
    return rest


def _long(word: str, rest: list[bytes], table: "Table", state: Parse) -> None:
    given, has_value, value = word.partition("=")
    name = _whole_name(given, table)
    metavar, apply = table[name]
    if has_value and not metavar:
        raise UsageError(f"{name} takes no value")
    if metavar and not has_value:
        value = _value(name, metavar, rest)
    _apply(apply, state, name, value)


def _short(letters: str, rest: list[bytes], table: "Table", state: Parse) -> None:
    while letters:
        name, letters = "-" + letters[0], letters[1:]
        metavar, apply = table[_whole_name(name, table)]
        if metavar:
            value, letters = letters or _value(name, metavar, rest), ""
            _apply(apply, state, name, value)
        else:
            apply(state, "")


def _whole_name(given: str, table: "Table") -> str:
    """Complete a long name that was cut short, as getopt_long(3) does."""
    if given in table:
        return given
    found = [name for name in table if given.startswith("--") and name.startswith(given)]
    if len(found) != 1:
        raise UsageError(f"no option {given}")
    return found[0]


def _value(name: str, metavar: str, rest: list[bytes]) -> str:
    if not rest:
        raise UsageError(f"{name} needs a value: {name} {metavar}")
    return _text(rest.pop(0))


def _apply(apply: "Apply", state: Parse, name: str, value: str) -> None:
    try:
        apply(state, value)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def items(text: str) -> "Iterable[str]":
    """Yield the parts of a list; an empty one is an error."""
    for part in text.split(","):
        if not part.strip():
            raise UsageError(f"{text!r} has an empty part")
        yield part.strip()
