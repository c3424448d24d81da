"""Bad input: one line of ours that says what, where and what to do; no traceback but the application's own."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.functional.cases import SERVICE, WEB, both_ways
from tests.functional.program import launcher

if TYPE_CHECKING:
    from tests.functional.program import Program

BOTH = WEB + SERVICE


def refused(program: Program, source: str = BOTH, **options: Any) -> tuple[int, str]:
    """Run with this; return the exit code and the one error line."""
    program.write_app(source)
    program.configure(**{"services": "app:web=2", **options})
    program.start()
    code = program.wait_ended()
    assert len(program.errors()) == 1
    program.wait_nothing_left()
    return code, program.errors()[0].removeprefix("launcher: error: ")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"workers": "abc"}, r"workers = abc \(CONF:\d\): must be a whole number"),
        ({"workers": "0"}, r"workers = 0 \(CONF:\d\): must be a whole number from 1"),
        ({"workers": "8..2"}, r"workers = 8\.\.2 \(CONF:\d\): must be a whole number from 1 to 10000, MIN\.\.MAX"),
        ({"services": "app:web=auto..4"}, r"services = app:web=auto\.\.4 \(CONF:\d\): workers must be a whole number"),
        ({"max_worker_memory": "10X"}, r"max_worker_memory = 10X \(CONF:\d\): must be 0, or bytes from 1M on, with K"),
        ({"limit_jitter": "2"}, r"limit_jitter = 2 \(CONF:\d\): must be a number from 0 to 1"),
        ({"max_requests": "-1"}, r"max_requests = -1 \(CONF:\d\): must be a whole number from 0"),
        ({"wrokers": "2"}, r'wrokers = 2 \(CONF:\d\): unknown option in \[launcher\]; did you mean "workers"\?'),
        ({"services": "app:web=x"}, r"services = app:web=x \(CONF:\d\): workers must be a whole number"),
        ({"services": "app/web"}, r"services = app/web \(CONF:\d\): must be MODULE:ATTR"),
        ({"services": ""}, r"no services: name one"),
        ({"services": "ap:web"}, r'ap:web \(CONF:\d\): no module named ap .*did you mean "app"\?'),
        ({"services": "app:wbe"}, r'app:wbe \(CONF:\d\): module app has no attribute wbe; did you mean "web"\?'),
        ({"services": "app:os"}, r"app:os \(CONF:\d\): a module is neither a service nor callable"),
        ({"listen": "unix:/" + "x" * 120}, r"listen = unix:/x+\S* \(CONF:\d\): socket path too long: 121 bytes"),
        ({"listen": "127.0.0.1:http"}, r"listen = 127\.0\.0\.1:http \(CONF:\d\): the port must be a number"),
        ({"listen": "127.0.0.1:99999"}, r"listen = 127\.0\.0\.1:99999 \(CONF:\d\): the port must be"),
        (
            {"keepalive_timeout": 9, "graceful_shutdown_timeout": 5},
            r"keepalive_timeout = 9 \(CONF:\d\): must be less than graceful_shutdown_timeout = 5 \(CONF:\d\)",
        ),
        (
            {"backoff_min": 9, "backoff_max": 5},
            r"backoff_min = 9 \(CONF:\d\): must not be greater than backoff_max = 5 \(CONF:\d\)",
        ),
        (
            {"remold_after": "60", "backend": "threading"},
            r"remold_after = 60 \(CONF:\d\): workers have threads with backend = threading \(CONF:\d\), and",
        ),
    ],
)
def test_bad_configuration(program: Program, options: dict[str, Any], pattern: str) -> None:
    code, error = refused(program, **options)
    assert code == 78
    assert re.search(pattern.replace("CONF", re.escape(str(program.conf))), error)
    assert "Traceback" not in program.output()


@pytest.mark.parametrize(
    ("source", "said", "pattern"),
    [
        ("def web(:\n", "SyntaxError", r"app:web \(CONF:\d\): importing app failed: SyntaxError: .* \(APP:\d+\)"),
        ("raise RuntimeError('no')", "RuntimeError: no", r"app:web .*: RuntimeError: no \(APP:\d+\)"),
        ("import nowhere", "ModuleNotFoundError", r"app:web .*No module named 'nowhere' \(APP:\d+\)"),
        ("raise SystemExit", "SystemExit", r"app:web .*: SystemExit \(APP:\d+\)"),
    ],
    ids=["syntax-error", "raises", "missing-import", "exits"],
)
def test_an_application_that_cannot_be_imported_shows_its_own_traceback(
    program: Program, source: str, said: str, pattern: str
) -> None:
    code, error = refused(program, source)
    assert code == 78
    assert re.search(pattern.replace("CONF", str(program.conf)).replace("APP", str(program.folder / "app.py")), error)
    assert said in program.output()
    assert "launcher/worker" not in program.output()


@pytest.mark.parametrize(
    ("misdeed", "errors"),
    [
        (
            "os.closerange(3, 256)",
            [
                r"the channel .* is not there .* an application must leave alone what it did not open",
                "the mold ended .*",
            ],
        ),
        (
            "for fd in range(3, 256):\n    with suppress(OSError): posix.write(fd, b'lost\\n')",
            ["what came from the mold makes no sense: .*"],
        ),
    ],
    ids=["closes", "writes"],
)
def test_an_application_that_lays_hands_on_our_descriptors(program: Program, misdeed: str, errors: list[str]) -> None:
    program.write_app(f"import posix\nfrom contextlib import suppress\n{misdeed}\n{BOTH}")
    program.configure(services="app:web")
    program.start()
    assert program.wait_ended() == 78
    found = program.errors()
    assert len(found) == len(errors)
    assert all(map(re.fullmatch, [f"launcher: error: {each}" for each in errors], found)), found
    assert "Traceback" not in program.output()


def test_a_class_that_is_no_service(program: Program) -> None:
    code, error = refused(program, "class Shop: pass", services="app:Shop", listen=None)
    assert code == 78
    assert "app:Shop" in error
    assert "Shop is a class but no service: it has no start(), stop(), wait()" in error


@both_ways
def test_a_port_in_use(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, error = refused(program, listen=f"127.0.0.1:{port}", graceful_shutdown_timeout=600)
    assert code == 78
    assert (
        error
        == f"listen = 127.0.0.1:{port} ({program.conf}:3): the address is in use; stop what uses it, or choose another"
    )
    assert "ABRT" not in program.output()


def test_a_config_file_that_cannot_be_read(program: Program) -> None:
    program.write_app(BOTH)
    program.conf.mkdir()
    program.start()
    assert program.wait_ended() == 78
    assert program.errors() == [f"launcher: error: {program.conf}: cannot read the config file: Is a directory"]


def test_a_config_file_that_is_not_there(program: Program) -> None:
    program.write_app(BOTH)
    program.start()
    assert program.wait_ended() == 78
    (error,) = program.errors()
    assert str(program.conf) in error
    assert "No such file or directory" in error


def test_a_config_file_without_permission(program: Program) -> None:
    program.write_app(BOTH)
    program.configure(services="app:web")
    program.conf.chmod(0)
    program.start(inside=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert program.wait_ended() == 78
    assert program.errors() == [f"launcher: error: {program.conf}: cannot read the config file: Permission denied"]


def test_all_mistakes_are_told_at_once(program: Program) -> None:
    program.write_app(BOTH)
    program.configure(services="app:web", workers="abc", backoff_min="x", lisen="y")
    program.start()
    assert program.wait_ended() == 78
    assert len(program.errors()) == 3


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("run", "--wrokers", "3", "app:web"), r'unknown option --wrokers; did you mean "--workers"\?'),
        (("run", "--workers"), r"--workers: expected one argument"),
        (("walk",), r"no command 'walk'"),
        (("sh", "-c", "x"), r"no command 'sh'; .*; to run a program: launcher exec -- sh"),
    ],
)
def test_usage(program: Program, arguments: tuple[str, ...], pattern: str) -> None:
    program.write_app(BOTH)
    ended = launcher(program, *arguments)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert re.match("launcher: error: .*" + pattern, ended.stderr)


def test_the_environment_is_named_as_the_source(program: Program) -> None:
    program.write_app(BOTH)
    ended = launcher(program, "run", "app:web", OS_LAUNCHER__WORKERS="many")
    assert ended.returncode == 78
    assert ended.stderr.startswith("launcher: error: workers = many (environment OS_LAUNCHER__WORKERS): must be")
    assert len(ended.stderr.splitlines()) == 1


def test_the_command_line_is_named_as_the_source(program: Program) -> None:
    program.write_app(BOTH)
    ended = launcher(program, "run", "app:web", "--workers", "0")
    assert ended.returncode == 78
    assert ended.stderr.startswith("launcher: error: workers = 0 (command line): must be")
    assert len(ended.stderr.splitlines()) == 1


def test_a_working_directory_that_was_removed_is_named_as_such(program: Program) -> None:
    program.configure(services="app:web=1")
    gone = program.folder / "gone"
    gone.mkdir()
    program.start(inside=("sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh"))
    assert program.wait_ended() == 78
    (error,) = program.errors()
    assert "no module named app in the working directory, which was removed, or among" in error
