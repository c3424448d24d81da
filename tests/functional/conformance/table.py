"""Run the suite against several inits and print how each does: `python -m tests.functional.conformance.table [JOBS]`.

The exit status is 1 if the launcher fails a case; what the others fail is for the reader.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
LAUNCHER = "launcher"
PEERS_PATIENCE = "4"  # seconds; what they don't do they don't do later either, and there is much of it
INITS = {
    LAUNCHER: "",  # what the suite takes by itself
    "tini": "tini -s --",
    "dumb-init": "dumb-init --",
    "catatonit": "catatonit --",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What one init did, counted by subject."""

    total: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def count(self, subject: str, name: str, *, failed: bool) -> None:
        """Enter one case."""
        self.total[subject] += 1
        if failed:
            self.failures.append(f"{subject}: {name}")
        else:
            self.passed[subject] += 1

    def cell(self, subject: str) -> str:
        """Say how many of a subject's cases passed."""
        return f"{self.passed[subject]}/{self.total[subject]}"

    def sum(self) -> str:
        """Say how many of all cases passed."""
        return f"{self.passed.total()}/{self.total.total()}"


def run(init: str, jobs: str, report: Path) -> Result:
    """Run the suite; a case that doesn't apply to the init is not counted."""
    options = ["-n", jobs, "--quiet", "--no-header", "--tb=no", "-r", "", f"--junitxml={report}"]
    peer = {"INIT_UNDER_TEST": init, "CONFORMANCE_PATIENCE": PEERS_PATIENCE} if init else {"INIT_UNDER_TEST": ""}
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(HERE)],
        env={**os.environ, **peer},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    result = Result()
    for (subject, name), failed in outcomes(report).items():
        result.count(subject, name, failed=failed)
    return result


def outcomes(report: Path) -> dict[tuple[str, str], bool]:
    """Return whether each case failed, by subject and name; one that fails at its end too is listed twice."""
    failed: dict[tuple[str, str], bool] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's own, made a moment ago
        if case.find("skipped") is None:
            subject = case.get("classname", "").rpartition(".test_")[2].replace("_", "-")
            key = subject, case.get("name", "")
            failed[key] = failed.get(key, False) or case.find("failure") is not None or case.find("error") is not None
    return failed


def table(results: dict[str, Result]) -> str:
    """Write a table in Markdown, a row for each subject."""
    subjects = sorted(results[LAUNCHER].total)
    rows = [["subject", *results], ["---"] + ["--:"] * len(results)]
    rows += [[subject, *(result.cell(subject) for result in results.values())] for subject in subjects]
    rows += [["all", *(result.sum() for result in results.values())]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def say(text: str) -> None:
    """Print at once, for these runs are long."""
    print(text, flush=True)  # noqa: T201 - a program whose output is its purpose


def main(jobs: str = "2") -> int:
    """Run all; return the exit status."""
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, init in INITS.items():
            say(f"conformance: {name}")
            results[name] = run(init, jobs, Path(folder, name))
    say(table(results))
    own = results[LAUNCHER]
    for failure in own.failures:
        say(f"{LAUNCHER} fails {failure}")
    return int(bool(own.failures) or not own.passed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
