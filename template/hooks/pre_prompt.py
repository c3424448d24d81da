"""Have cookiecutter refuse answers in one line: in the copy of the template that it has made for this run.

It runs here with the copy as working directory, before anything is asked.  cruft, which updates projects, does not run
it and could not load the extension; there, pre_gen_project.py refuses the same, amid cookiecutter's own traceback.
"""

from __future__ import annotations

import json
from pathlib import Path

QUESTIONS = Path("cookiecutter.json")

questions = json.loads(QUESTIONS.read_text())
questions["_extensions"] = ["launcher_template_answers.AnswersAreData"]
questions["__checked"] = "{{ cookiecutter | checked }}"
QUESTIONS.write_text(json.dumps(questions))
