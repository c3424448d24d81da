"""Have cookiecutter refuse answers in one line: in the copy of the template that it has made for this run.

It runs here with the copy as working directory, before anything is asked.  cruft, which updates projects, does not run
it and could not load the extension; there, pre_gen_project.py refuses the same, amid cookiecutter's own traceback.

What is none of the choices cookiecutter refuses itself, with a traceback and before it loads the extension; so it is
looked for here, in its command line.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

from cookiecutter.generate import apply_overwrites_to_context

QUESTIONS = Path("cookiecutter.json")


def command_line() -> list[str]:
    """Return the arguments that cookiecutter was started with; none where there is no /proc."""
    try:
        line = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    except OSError:
        return []
    return line.decode(errors="replace").split("\0")[1:]


def problem_of_choice(questions: dict[str, Any], name: str, answer: str) -> str:
    """Say what is wrong with an answer to a question that has choices, by cookiecutter's own rule."""
    try:
        apply_overwrites_to_context(json.loads(json.dumps(questions)), {name: answer})
    except ValueError:
        choices = questions[name]
        return f"must be {'yes or no' if isinstance(choices, bool) else 'one of ' + ', '.join(choices)}"
    return ""


def refused(questions: dict[str, Any]) -> list[str]:
    """Return a line for each answer in the command line that is none of the choices."""
    told = run_path("hooks/pre_gen_project.py")["told"]
    given = dict(each.split("=", 1) for each in command_line() if "=" in each and each[0] not in "-_")
    problems = {name: problem_of_choice(questions, name, answer) for name, answer in given.items()}
    return [told(name, given[name], problem) for name, problem in problems.items() if problem]


def main() -> int:
    """Change the copy, or remove it and print what is refused; return the exit code."""
    questions = json.loads(QUESTIONS.read_text())
    if lines := refused(questions):
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        shutil.rmtree(Path.cwd().parent)  # cookiecutter would forget it
        return 1
    questions["_extensions"] = ["launcher_template_answers.AnswersAreData"]
    questions["__checked"] = "{{ cookiecutter | checked }}"
    QUESTIONS.write_text(json.dumps(questions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
