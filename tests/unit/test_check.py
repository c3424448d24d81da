"""The whole command, in a process of its own: it patches what it runs in."""

from __future__ import annotations

import os
import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from launcher.cli.check import grace_period
from launcher.counts import ALLOWED
from launcher.supervisor.settings import Policy

ROOT = Path(__file__).parents[2]
CODE = "import sys; from launcher.cli import check; sys.exit(check.main(sys.argv[1:]))"
SHOP = """
def api(environ, start_response):
    start_response("200 OK", [])
    return [b""]

class scheduler:
    def start(self): pass
    def stop(self): pass
    def wait(self): pass
"""


@pytest.fixture
def check(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    environ["PYTHONPATH"] = str(ROOT)

    def check(*argv, **variables):
        return subprocess.run(
            [sys.executable, "-c", CODE, *argv],
            cwd=tmp_path,
            env=environ | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return check


def test_what_would_run(check, tmp_path):
    (tmp_path / "app.conf").write_text("[launcher]\ngraceful_shutdown_timeout = 20\n")
    done = check("--config-file", "app.conf", "shop:api=4", "shop:scheduler", OS_LAUNCHER__DRAIN_DELAY="2.5")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["workers", "1", "default"] in lines
    assert ["graceful_shutdown_timeout", "20", f"{tmp_path}/app.conf:2"] in lines
    assert ["drain_delay", "2.5", "environment", "OS_LAUNCHER__DRAIN_DELAY"] in lines
    assert ["services", "shop:api=4,", "shop:scheduler", "command", "line"] in lines
    assert ["api", "4", "0.0.0.0:8080"] in lines
    assert ["scheduler", "1", "-"] in lines
    assert "stop_grace_period / terminationGracePeriodSeconds to at least 24 s" in done.stdout
    assert done.stdout.count("eventlet is in maintenance mode") == 1


def test_columns_are_aligned(check):
    head, *rows = check("shop:api").stdout.split("\n\n")[0].splitlines()
    for title in ("VALUE", "SOURCE"):
        column = head.index(title)
        assert all(row[column - 1] == " " != row[column] for row in rows)


def test_no_limit(check):
    done = check("--graceful-shutdown-timeout", "0", "shop:api")
    assert "sets no limit" in done.stdout


def test_mistakes_are_lines_on_stderr(check):
    done = check("--workers", "0", "--log-level", "chatty", "shop:api")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.splitlines() == [
        f"launcher: error: workers = 0 (command line): must be {ALLOWED}",
        "launcher: error: log_level = chatty (command line): must be one of: debug, info, warning, error",
    ]


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["--worker", "3"], 2, 'unknown option --worker; did you mean "--workers"?'),
        (["shop:apo"], 78, 'has no attribute apo; did you mean "api"?'),
        (["shpo:api"], 78, 'did you mean "shop"?'),
        (["shop:api", "shop:api"], 78, "named twice"),
    ],
)
def test_one_line_and_no_traceback(check, argv, code, message):
    done = check(*argv)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("launcher: error: ")
    assert message in line


def test_how_the_number_of_workers_comes_about(check):
    done = check("shop:api=auto", "shop:scheduler=2..8")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["scheduler", "2..8", "-"] in lines
    (note,) = [line for line in done.stdout.splitlines() if "workers = auto is " in line]
    assert note.startswith("api: workers = auto is ")
    assert f"affinity to {len(os.sched_getaffinity(0))} CPUs" in note


def test_help(check):
    done = check("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: launcher check ")


def test_application_is_patched_before_it_is_imported(check, tmp_path):
    (tmp_path / "late.py").write_text(
        "import eventlet.patcher\nassert eventlet.patcher.is_monkey_patched('socket')\n" + SHOP
    )
    assert check("late:api").returncode == 0


@pytest.mark.parametrize(
    ("statement", "code", "end"),
    [
        ("os._exit(0)", 78, "exit code 0"),
        ("os._exit(3)", 78, "exit code 3"),
        ("os.closerange(3, 256); os._exit(3)", 78, "exit code 3"),
        ("os.kill(os.getpid(), 9)", 137, "killed by KILL"),
    ],
)
def test_an_application_that_ends_the_process_is_a_line(check, tmp_path, statement, code, end):
    (tmp_path / "ends.py").write_text(f"import os\n{statement}\n")
    done = check("ends:api", "shop:api", "--pre-start", "ends:migrate")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == (
        "launcher: error: ends:api (command line), shop:api (command line), ends:migrate (command line): "
        f"loading ends the process: {end}; no worker could come of it\n"
    )


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (Policy(), 10),
        (Policy(graceful_shutdown_timeout=7.5, abort_timeout=0.5), 9),
        (Policy(graceful_shutdown_timeout=1, drain_delay=0.6, abort_timeout=0.5), 4),
        (Policy(graceful_shutdown_timeout=inf), inf),
        (Policy(drain_delay=2, pre_stop_timeout=4, molds_stay=True), 15),
        (Policy(drain_delay=5, pre_stop_timeout=4, molds_stay=True), 16),
    ],
)
def test_grace_period(policy, seconds):
    assert grace_period(policy) == seconds


def test_sample_is_what_the_options_say(tmp_path):
    from oslo_config import cfg, generator

    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "launcher"], default_config_files=[], default_config_dirs=[])
    with (tmp_path / "sample").open("w") as sample:
        generator.generate(conf, sample)
    assert (tmp_path / "sample").read_text() == (ROOT / "examples" / "launcher.conf.sample").read_text()
