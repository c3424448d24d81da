"""Remove the folders that the answers have left empty: a file whose name renders to nothing is not written."""

from __future__ import annotations

import os
from pathlib import Path

Path(__file__).unlink()  # cookiecutter leaves it in the folder for temporary files
for folder, _, _ in os.walk(".", topdown=False):
    if not any(Path(folder).iterdir()):
        Path(folder).rmdir()
