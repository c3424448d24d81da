"""The questions, as somebody at a terminal meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.template.rendering import QUESTIONS, program

if TYPE_CHECKING:
    from pathlib import Path

ASKED = [name for name in QUESTIONS if not name.startswith("_")]


def test_they_are_asked_in_words_and_return_takes_the_defaults(tmp_path: Path) -> None:
    done = program(tmp_path, keyboard="\n" * len(ASKED))
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    for name in ASKED:
        prompt = QUESTIONS["__prompts__"][name]
        texts = [prompt] if isinstance(prompt, str) else [*prompt.values()]
        assert all(text in words for text in texts), name
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["my-service"]


def test_what_is_typed_is_data_too(tmp_path: Path) -> None:
    typed = {"project_name": "Shop", "description": "{{ 7 * 7 }}", "http_port": "http"}
    done = program(tmp_path, keyboard="".join(f"{typed.get(name, '')}\n" for name in ASKED))
    assert done.returncode == 1
    assert done.stdout[done.stdout.index("template: ") :].splitlines() == [
        "template: description = '{{ 7 * 7 }}': must not contain {{ {% {#",
        "template: http_port = 'http': must be a number from 1024 to 65535",
    ]
    assert not list((tmp_path / "out").rglob("*"))


def test_the_last_answers_can_be_replayed(tmp_path: Path) -> None:
    assert program(tmp_path, "kind=worker", "author=Ours").returncode == 0
    first = (tmp_path / "out").rename(tmp_path / "first")
    done = program(tmp_path, "--replay", keyboard="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(tmp_path / "out") == contents(first)
    assert [path.name for path in (tmp_path / "temporary").iterdir()] == [".cookiecutter_replay"]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
