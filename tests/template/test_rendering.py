"""Every combination of the discrete answers renders, and what it renders to is clean."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest
import yaml

from launcher import __version__
from tests.template.rendering import BIN, KINDS, QUESTIONS, ROOT, TEMPLATE, combinations, compiled_once, render

if TYPE_CHECKING:
    from pathlib import Path

BRACES = re.compile(r"\{[{%#]|cookiecutter\.")
LONGEST = "The Longest Name That Is Not Too Long Yet"
PARSERS = {".json": json.loads, ".toml": tomllib.loads, ".yaml": yaml.safe_load_all, ".yml": yaml.safe_load}


class Renderings:
    """Distinct contents and distinct Python of many renderings; the rest is forgotten as soon as it was seen."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self.contents: dict[tuple[str, str], None] = {}
        self.trees: dict[str, Path] = {}
        self.folder = folder

    def add(self, project: Path) -> None:
        self.count += 1
        files = {path.relative_to(project): path.read_text() for path in project.rglob("*") if path.is_file()}
        readme_is_true({str(path): text for path, text in files.items()})
        self.contents |= dict.fromkeys((path.name, text) for path, text in files.items())
        python = {path: text for path, text in files.items() if path.suffix == ".py"}
        tree = hashlib.sha256(repr(sorted(python.items())).encode()).hexdigest()[:12]
        if tree in self.trees:
            shutil.rmtree(project)
        else:
            self.trees[tree] = project.rename(self.folder / tree)


@pytest.mark.timeout(400)  # half a minute where nothing else runs
@pytest.mark.parametrize("kind", KINDS)
def test_every_combination_renders_and_is_clean(kind: str, tmp_path: Path) -> None:
    renderings = Renderings(tmp_path)
    with compiled_once():
        for answers in combinations(kind):
            renderings.add(render(tmp_path, **answers))
        renderings.add(render(tmp_path, kind=kind, project_name=LONGEST))
    all_are_there_and_no_brace_is_left(renderings)
    data_can_be_read(renderings)
    dockerfiles_and_scripts_are_clean(renderings)
    python_is_formatted_linted_and_typed(renderings, ROOT / ".mypy_cache" / f"template-{kind}")
    unit_tests_pass(next(iter(renderings.trees.values())))
    shutil.rmtree(tmp_path)


def run(project: Path, *command: str | Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{project.name}: {' '.join(map(str, command))}: {done.returncode}\n{done.stdout}", pytrace=False)


def readme_is_true(files: dict[str, str]) -> None:
    """Whatever the answers, it names no file and no target that is not there."""
    readme, makefile = files["README.md"], files["Makefile"]
    links = set(re.findall(r"\]\(([^)#]+)\)", readme))
    assert links <= files.keys()
    targets = {word for words in re.findall(r"\bmake ((?:[a-z-]+ ?)+)(?=[`\n ]|$)", readme) for word in words.split()}
    assert targets
    assert targets <= {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)}


def all_are_there_and_no_brace_is_left(renderings: Renderings) -> None:
    assert renderings.count == 2 * 2 * 2 * 2 * 3 * 4 + 1
    # Python and compose.yaml depend on the kind and the name alone, so tests/integration sees all there are.
    assert len(renderings.trees) == len([name for name, _ in renderings.contents if name == "compose.yaml"]) == 2
    assert not [(name, found.group()) for name, text in renderings.contents if (found := BRACES.search(text))]


def data_can_be_read(renderings: Renderings) -> None:
    for name, text in renderings.contents:
        if parse := PARSERS.get(PurePath(name).suffix):
            assert list(parse(text)), name


def test_what_pre_commit_installs_are_all_stages_that_hooks_have() -> None:
    config = yaml.safe_load((TEMPLATE / "{{cookiecutter.__slug}}" / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    stages = {stage for hook in local["hooks"] for stage in hook.get("stages", config["default_stages"])}
    assert stages == {*config["default_install_hook_types"]}


def dockerfiles_and_scripts_are_clean(renderings: Renderings) -> None:
    checks = {"Dockerfile": "hadolint", "venv": "shellcheck", "secrets": "shellcheck"}
    for name, text in renderings.contents:
        if check := checks.get(name):
            (renderings.folder / name).write_text(text)
            run(renderings.folder, BIN / check, name)


def python_is_formatted_linted_and_typed(renderings: Renderings, cache: Path) -> None:
    for tree in renderings.trees.values():
        run(tree, BIN / "ruff", "check", "--no-cache", ".")
        run(tree, BIN / "ruff", "format", "--no-cache", "--check", ".")
    run(next(iter(renderings.trees.values())), BIN / "mypy", "--cache-dir", cache)


def unit_tests_pass(project: Path) -> None:
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(project, *pip, "--no-build-isolation", "--target", "installed", ".")
    unit_tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit")
    run(project, *unit_tests, PYTHONPATH=str(project / "installed"))


@pytest.mark.parametrize("service", [*KINDS[:3], "redis"])
def test_swarm_takes_as_much_from_a_container_as_compose_does(service: str, tmp_path: Path) -> None:
    project = render(tmp_path, kind="full", swarm=True)
    files = (project / "compose.yaml", project / "deploy" / "swarm.yaml")
    compose, swarm = (yaml.safe_load(path.read_text())["services"][service] for path in files)
    for key in ("image", "command", "read_only", "cap_drop", "cap_add", "tmpfs"):
        assert swarm.get(key) == compose.get(key), key


def test_the_launcher_is_ours() -> None:
    assert QUESTIONS["__launcher_version"] == __version__
    ours = (ROOT / "requirements" / "run.txt").read_text()
    assert (TEMPLATE / "{{cookiecutter.__slug}}" / "requirements" / "launcher.txt").read_text() == ours
