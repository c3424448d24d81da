"""Whether the tests of the core have teeth: `make mutants` breaks the core in one place after the other.

Each mutant of the table is applied to a copy of the package and must be killed by the simulation, the
properties or the histories.  One that survives must be explained in the table; one whose old text does
not occur exactly once, or that is killed although the table explains why it cannot be, is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.property.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[3]
SCHEDULES = 3000
STUCK = 40  # seconds; most tests need five
HANGS = 150
SUITES = {  # in this order, until one kills
    "simulation": ["tests/property/simulation", f"--schedules={SCHEDULES}"],
    "histories": [
        f"tests/unit/test_core_{what}.py"
        for what in ("examples", "lifecycle_examples", "reload_examples", "remold_examples", "found")
    ],
    "properties": [f"tests/property/test_{what}.py" for what in ("agenda", "core_scale", "core")],
}
SOUND = Mutant("core.py", "class Core:", "class Core:", "nothing")  # which the tests must let pass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killer: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not self.error and bool(self.killer) != bool(self.mutant.survives)

    def row(self) -> str:
        found = self.error or self.killer or f"survives: {self.mutant.survives or 'and nobody knows why'}"
        mark, mutant = "ok " if self.good else "BAD", self.mutant
        return f"{mark} {self.seconds:5.1f} s  {mutant.where:13} {mutant.breaks:72} {found}"


def judge(mutant: Mutant) -> Verdict:
    began = time.monotonic()
    with TemporaryDirectory(prefix="mutant-") as folder:
        verdict = _judge(mutant, Path(folder))
    return replace(verdict, seconds=time.monotonic() - began)


def _judge(mutant: Mutant, copy: Path) -> Verdict:
    for name in ("launcher", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    path = copy / "launcher" / "supervisor" / mutant.where
    text = path.read_text()
    if (count := text.count(mutant.old)) != 1:
        return Verdict(mutant, error=f"the table is outdated: its old text occurs {count} times")
    path.write_text(text.replace(mutant.old, mutant.new))
    for suite, arguments in SUITES.items():
        match run(copy, arguments):
            case 0:
                continue
            case 1:
                return Verdict(mutant, suite)
            case None:
                return Verdict(mutant, f"{suite}, by hanging")
            case code:
                return Verdict(mutant, error=f"{suite}: pytest ended with {code}")
    return Verdict(mutant)


def run(copy: Path, arguments: list[str]) -> int | None:
    """Run tests of a copy; return pytest's exit code, or None if they hang."""
    command = [sys.executable, "-m", "pytest", "-qx", "--no-header", "-p", "no:cacheprovider"]
    try:
        return subprocess.run(
            [*command, f"--timeout={STUCK}", *arguments], cwd=copy, capture_output=True, timeout=HANGS, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def main() -> int:
    jobs, *words = sys.argv[1:]
    chosen = [mutant for mutant in MUTANTS if all(word in f"{mutant.where} {mutant.breaks}" for word in words)]
    print(f"mutants: {len(chosen)} of the core, {jobs} at a time, {SCHEDULES} schedules each", flush=True)
    if (sound := judge(SOUND)).error or sound.killer:
        print(f"mutants: the tests fail as it is: {sound.error or sound.killer}")
        return 1
    with ThreadPoolExecutor(int(jobs)) as pool:
        verdicts = []
        for verdict in pool.map(judge, chosen):
            verdicts.append(verdict)
            print(verdict.row(), flush=True)
    killed = sum(bool(verdict.killer) for verdict in verdicts)
    bad = [verdict for verdict in verdicts if not verdict.good]
    print(f"mutants: {killed} killed, {sum(v.good for v in verdicts) - killed} survive as explained, {len(bad)} bad")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
