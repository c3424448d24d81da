"""Refuse answers that cannot be rendered, before anything is written.

Answers are data: they come in as one JSON text, are looked at, and are not run, formatted or evaluated.  One line on
stderr for each that is refused; then cookiecutter removes the empty folder.
"""

from __future__ import annotations

import json
import keyword
import re
import sys
from pathlib import Path

LONGEST_TEXT = 200  # characters of a free text
LONGEST_NAME = 40  # of the slug: Kubernetes has 63 for it and what is appended
MOST_WORKERS = 1000
PORTS = range(1024, 65536)  # the container's user may not bind those below everywhere
BRACES = tuple("{" + second for second in ("{", "%", "#"))  # a later `cruft update` would evaluate what follows
# What the image, the development environment and our tests have; and what oslo.config calls the options of no group.
TAKEN = """
annotated_doc annotated_types arrow ast_serialize binaryornot certifi charset_normalizer click cookiecutter coverage
cruft dateutil default dns docker eventlet execnet git gitdb greenlet hypothesis idna iniconfig jinja2 launcher librt
main markdown_it markupsafe mdurl mypy mypy_extensions mypyc netaddr oslo_config oslo_i18n packaging pathspec pbr pip
pluggy py pydantic pydantic_core pygments pytest pytest_timeout redis requests rfc3986 rich ruff setuptools shellingham
slow slugify smmap sortedcontainers src stevedore tests text_unidecode typer typing_extensions typing_inspection tzdata
urllib3 uv waitress xdist yaml
"""


def answers() -> dict[str, object]:
    """Return all answers and what was computed of them; the JSON is a string literal once this file is rendered."""
    return json.loads({{cookiecutter | tojson | tojson}})


def shown(answer: object) -> str:
    """Return an answer so that it fits in one line and cannot disturb a terminal."""
    text = ascii(answer)
    return text if len(text) <= 60 else text[:57] + "..."


def problem_of_text(text: str) -> str:
    """Say what is wrong with a free text."""
    found = (
        (not text.strip(), "must not be empty"),
        (len(text) > LONGEST_TEXT, f"must not be longer than {LONGEST_TEXT} characters"),
        (not text.isprintable(), "must be one line without control characters, invisible ones included"),
        (any(brace in text for brace in BRACES), f"must not contain {' '.join(BRACES)}"),
    )
    return next((problem for is_wrong, problem in found if is_wrong), "")


def problem_of_name(name: str, slug: str, module: str) -> str:
    """Say what is wrong with the project's name, of which slug and module were made."""
    letters = all(char.isalnum() or char in " -_." for char in name)
    is_slug = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug) and slug != "unnamed"
    is_word = keyword.iskeyword(module) or keyword.issoftkeyword(module)
    standard = module in sys.stdlib_module_names
    found = (
        (not letters, "must be of letters, digits, spaces, hyphens, underscores and dots"),
        (not is_slug, "must begin with a letter, and have letters that can be written in ASCII"),
        (
            len(slug) > LONGEST_NAME,
            f"must not be longer than {LONGEST_NAME} characters: images are called so",
        ),
        (is_word, f"{module} is a word of Python's and cannot be the name of a package"),
        (standard, f"{module} is a module of Python's standard library, which the package would hide"),
        (module in TAKEN.split(), f"{module} is a package that the service or its tests need, and that it would hide"),
    )
    return problem_of_text(name) or next((problem for is_wrong, problem in found if is_wrong), "")


def problem_of_number(text: str, allowed: range) -> str:
    """Say what is wrong with a number."""
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text, re.ASCII) or int(text) not in allowed:
        return f"must be a number from {allowed[0]} to {allowed[-1]}"
    return ""


def problems(given: dict[str, object]) -> dict[str, str]:
    """Say what is wrong with each answer; an empty text where nothing is."""
    text = {name: str(answer) for name, answer in given.items()}
    workers = problem_of_number(text["workers"], range(1, MOST_WORKERS + 1))
    return {
        "project_name": problem_of_name(text["project_name"], text["__slug"], text["__module"]),
        "description": problem_of_text(text["description"]),
        "author": problem_of_text(text["author"]),
        "http_port": problem_of_number(text["http_port"], PORTS),
        "workers": "" if text["workers"] == "auto" or not workers else f"{workers}, or auto",
    }


def told(name: str, answer: object, problem: str) -> str:
    """Return the line for the user."""
    return f"template: {name} = {shown(answer)}: {problem}"


def refused(given: dict[str, object]) -> list[str]:
    """Return a line for each answer that is refused."""
    return [told(name, given[name], problem) for name, problem in problems(given).items() if problem]


def main() -> int:
    """Print what is refused; return the exit code."""
    lines = refused(answers())
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    Path(__file__).unlink()  # cookiecutter leaves it, with all answers, in the folder for temporary files
    sys.exit(main())
