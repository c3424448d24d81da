"""The tests inside the oslo.service wheel, against `launcher.oslo`: one case each.

All of them are run, and those of `not_run` have to fail: one that begins to pass is noticed.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.functional.oslo import runner, wheel
from tests.functional.oslo.not_run import NOT_RUN, reason
from tests.functional.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
TESTS = wheel.tests()
SLOW = "test_service."  # these sleep; the earlier they are begun the better


def case(name: str) -> object:
    marks = [pytest.mark.xfail(reason=why)] if (why := reason(name)) else []
    return pytest.param(name, id=name, marks=marks)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The folder where they will be: whichever of pytest's processes comes first has all tests run at once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "wheel"
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        with (folder / ".lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if not lock.read():
                lock.write("begun")
                begin(folder, selected(request.session), stack)
        yield folder


def selected(session: pytest.Session) -> list[str]:
    """Return the tests that this session wants, the slow ones first."""
    params = [
        item.callspec.params
        for item in session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    names = [each["wheel_test"] for each in params if "wheel_test" in each]
    return sorted(names, key=lambda name: not name.startswith(SLOW))


def begin(folder: Path, names: list[str], stack: ExitStack) -> None:
    patched = [name for name in names if not name.startswith(wheel.UNPATCHED)]
    start(folder, patched, {}, stack)
    for each in wheel.UNPATCHED:  # apart: one imports eventlet, another must not find it imported
        start(folder, [name for name in names if name.startswith(each)], {"OSLO_SERVICE_SKIP_EVENTLET": "1"}, stack)


def start(folder: Path, names: list[str], environ: dict[str, str], stack: ExitStack) -> None:
    if not names:
        return
    path = os.pathsep.join([str(HERE / "site"), str(ROOT)])
    with (folder / ".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", runner.__name__, str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, **environ},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stack.callback(process.wait)
    process.stdin.write("\n".join(names).encode())
    process.stdin.close()


@pytest.mark.parametrize("wheel_test", [case(name) for name in TESTS])
def test_of_the_wheel(wheel_test: str, results: Path) -> None:
    result = results / wheel_test
    wait_for(result.exists, f"the result of {wheel_test}; {results / '.log'} may say more", patience=100)
    outcome, _, output = result.read_text().partition("\n")
    if outcome != "passed":
        pytest.fail(f"{outcome}\n{output}", pytrace=False)


def test_what_need_not_pass_is_there() -> None:
    for name in NOT_RUN:
        assert [test for test in TESTS if f"{test}.".startswith(f"{name}.")], name


def test_no_test_is_left_out() -> None:
    """What unittest finds in the modules that can be imported here is what is run."""
    done = subprocess.run(
        [sys.executable, "-m", runner.__name__, "--list"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE / "site"), str(ROOT)])},
        input="\n".join(TESTS),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = set(done.stdout.split())
    modules = {name.rsplit(".", 2)[0] for name in found}
    assert found == {name for name in TESTS if name.rsplit(".", 2)[0] in modules}
