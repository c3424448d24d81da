"""Rendering the template: as a person does, through the program, and many times, through its library.

The library compiles each file of the template at every rendering, which is most of its time; here each is compiled
once a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from cookiecutter.environment import StrictEnvironment
from cookiecutter.main import cookiecutter
from jinja2 import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    Answers = dict[str, Any]

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template"
QUESTIONS = json.loads((TEMPLATE / "cookiecutter.json").read_text())
KINDS = QUESTIONS["kind"]
BIN = Path(sys.executable).parent


def combinations(kind: str) -> Iterator[Answers]:
    """Yield every combination of the discrete answers to the other questions, and both sorts of `workers`."""
    choices = {name: answer for name, answer in QUESTIONS.items() if isinstance(answer, list)}
    switches = {name: [True, False] for name, answer in QUESTIONS.items() if isinstance(answer, bool)}
    axes = {**choices, **switches, "kind": [kind], "workers": ["auto", "3"]}
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def render(folder: Path, **answers: Any) -> Path:
    """Render without hooks into a folder; return the project's own folder in it."""
    with mock.patch("cookiecutter.main.dump"):  # its memory of the last answers, in the user's home
        project = cookiecutter(
            str(TEMPLATE),
            no_input=True,
            default_config=True,
            accept_hooks=False,
            output_dir=str(folder),
            extra_context=answers,
        )
    return Path(project)


@contextmanager
def compiled_once() -> Iterator[None]:
    """Make many renderings fast."""
    compile_one = Environment.compile

    @cache
    def compiled(source: str, name: str | None, filename: str | None) -> Any:
        return compile_one(environment, source, name, filename)

    def compile_cached(_self: Environment, source: str, name: str | None = None, filename: str | None = None) -> Any:
        return compiled(source, name, filename)

    environment = StrictEnvironment(keep_trailing_newline=True, **QUESTIONS["_jinja2_env_vars"])
    with mock.patch.object(Environment, "compile", compile_cached):
        yield


def program(folder: Path, *arguments: str, keyboard: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run cookiecutter as a person does, temporary files in `folder` too; without `keyboard` nothing is asked."""
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    questions = ["--no-input"] if keyboard is None else []
    return subprocess.run(
        [BIN / "cookiecutter", TEMPLATE, *questions, "--default-config", "--output-dir", folder / "out", *arguments],
        env={"PATH": f"{BIN}:/usr/bin:/bin", "TMPDIR": str(temporary), "HOME": str(temporary), "LC_ALL": "C.UTF-8"},
        input=keyboard,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
