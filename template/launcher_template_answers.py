"""An extension of Jinja that keeps answers data while cookiecutter asks for them; pre_prompt.py has it loaded.

Cookiecutter evaluates answers from its command line as templates.  Here, what is not the template's own is refused if
it has braces, before it is evaluated.  The last of all questions, `checked`, refuses what else cannot be
rendered.  Cookiecutter prints the exceptions in one line, with nothing written; its own copy of the template, which it
forgets then, is removed at the end of the process.
"""

from __future__ import annotations

import atexit
import json
import shutil
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from cookiecutter.exceptions import FailedHookException
from jinja2.ext import Extension

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment

COPY = Path(__file__).parent  # in a folder of its own


class Refused(FailedHookException):
    """An answer cannot be rendered; `str()` is the line for the user."""


class AnswersAreData(Extension):
    """Refuses answers; adds the filter `checked`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["checked"] = checked

    def preprocess(self, source: str, _name: str | None, _filename: str | None = None) -> str:
        """Return what is about to be evaluated.  Raises `Refused` if it is an answer and not all of it is text."""
        is_file = self.environment.loader is not None  # only what renders the project's files has one
        if not is_file and source not in OURS and any(brace in source for brace in CHECKS.BRACES):
            raise Refused(CHECKS.told("an answer", source, CHECKS.problem_of_text("x" + source)))
        return source


def checked(answers: dict[str, object]) -> str:
    """End the questions.  Raises `Refused` with a line for each answer that cannot be rendered."""
    if lines := CHECKS.refused(answers):
        raise Refused("\n".join(lines))
    return ""


def _strings(value: object) -> Iterator[str]:
    match value:
        case dict():
            yield from (text for each in (*value, *value.values()) for text in _strings(each))
        case list():
            yield from (text for each in value for text in _strings(each))
        case str():
            yield value


CHECKS = SimpleNamespace(**run_path(str(COPY / "hooks" / "pre_gen_project.py")))  # which only defines, then
OURS = frozenset(
    (
        *_strings(json.loads((COPY / "cookiecutter.json").read_text())),
        *(path.name for path in COPY.iterdir()),
        *(path.read_text() for path in (COPY / "hooks").glob("*.py")),
    )
)
atexit.register(shutil.rmtree, COPY.parent, ignore_errors=True)
