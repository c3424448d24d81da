"""The README tells the truth about options and commands."""

from __future__ import annotations

import re
from pathlib import Path

from launcher.options import OPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text()


def shown(default: object) -> str:
    if isinstance(default, list):
        return ", ".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_options_table_has_every_option_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? *\| \S", README, re.MULTILINE)
    assert rows == [(option.name, shown(option.default)) for option in OPTIONS]
