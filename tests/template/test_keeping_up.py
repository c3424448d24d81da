"""cruft: a project is made from a repository, follows what changes there, and keeps what its people have changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.template.rendering import BIN, TEMPLATE

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = TEMPLATE.name, "{{cookiecutter.__slug}}"


class Desk:
    """A folder with the template's repository, and a project that is made of it."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.project = folder / "repository", folder / "kept-up"
        self._folder = folder
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": f"{BIN}:/usr/bin:/bin",
        }
        shutil.copytree(TEMPLATE, self.repository / "template", ignore=shutil.ignore_patterns("__pycache__"))
        self.commit(self.repository)

    def run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=self._environment, capture_output=True, text=True, timeout=100, check=False
        )

    def commit(self, folder: Path) -> None:
        git = ("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")
        for command in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "as it is now")):
            done = self.run(folder, *git, *command)
            assert done.returncode == 0, done.stderr

    def create(self, **answers: Any) -> subprocess.CompletedProcess[str]:
        given = ("--directory", "template", "--no-input", "--extra-context", json.dumps(answers))
        return self.run(self._folder, "cruft", "create", str(self.repository), *given)

    def cruft(self, *arguments: str) -> int:
        done = self.run(self.project, "cruft", *arguments)
        print(done.stdout, done.stderr)  # noqa: T201 - pytest shows it on failure
        return done.returncode

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_project_follows_the_template_and_keeps_its_own_edits(desk: Desk) -> None:
    done = desk.create(project_name="Kept Up", kind="worker", ci="gitlab")
    assert done.returncode == 0, done.stdout + done.stderr
    desk.commit(desk.project)
    assert desk.cruft("check") == 0

    own, changed = desk.project / "src" / "kept_up" / "tasks.py", desk.project / "compose.yaml"
    desk.edit(own, 'logger.info("handled %s", body)', 'logger.info("ours: %s", body)')
    desk.edit(changed, "retries: 3", "retries: 7")
    desk.commit(desk.project)
    source = desk.repository.joinpath(*PROJECT)
    desk.edit(source / "compose.yaml", "stop_grace_period: 30s", "stop_grace_period: 45s")
    desk.commit(desk.repository)

    assert desk.cruft("check") == 1
    assert desk.cruft("update", "--skip-apply-ask") == 0
    assert 'logger.info("ours: %s", body)' in own.read_text()
    assert {"retries: 7", "stop_grace_period: 45s"} < {line.strip() for line in changed.read_text().splitlines()}
    assert not list(desk.project.rglob("*.rej"))
    desk.commit(desk.project)
    assert desk.cruft("check") == 0


def test_an_answer_can_be_changed(desk: Desk) -> None:
    assert desk.create(project_name="Kept Up", ci="gitlab").returncode == 0
    desk.commit(desk.project)
    answers = json.dumps({"ci": "github"})
    assert desk.cruft("update", "--skip-apply-ask", "--variables-to-update", answers) == 0
    assert (desk.project / ".github" / "workflows" / "test.yml").exists()
    assert not (desk.project / ".gitlab-ci.yml").exists()


def test_what_cannot_be_rendered_is_refused_here_too(desk: Desk) -> None:
    done = desk.create(project_name="Kept Up", author="first line\nsecond line")
    assert done.returncode != 0
    line = r"template: author = 'first line\nsecond line': must be one line without control characters"
    assert line in done.stderr
    assert not desk.project.exists()
