"""Real files, the real environment, the real command line."""

from __future__ import annotations

import os

import pytest
from oslo_config import cfg

from launcher import config
from launcher.counts import ALLOWED
from launcher.errors import UsageError
from launcher.options import BY_NAME, OPTIONS
from launcher.worker.hooks import MOMENTS

pytestmark = pytest.mark.usefixtures("clean_environment")


class TestPrecedence:
    def test_default(self, load):
        conf = load("shop:api")
        assert conf.launcher.workers == 1
        assert config.provenance(conf)["workers"] == config.Sourced(1, "default")

    def test_each_source_beats_those_before_it(self, load, write, etc, monkeypatch):
        (etc / "launcher.conf").write_text("[launcher]\nworkers = 2\n")
        assert config.provenance(load("shop:api"))["workers"] == config.Sourced(2, f"{etc}/launcher.conf:2")
        (etc / "launcher.conf.d").mkdir()
        (etc / "launcher.conf.d" / "x.conf").write_text("[launcher]\n\nworkers = 3\n")
        assert config.provenance(load("shop:api"))["workers"] == config.Sourced(3, f"{etc}/launcher.conf.d/x.conf:3")
        path = write("[launcher]\nworkers = 4\n")
        assert config.provenance(load("--config-file", path, "shop:api"))["workers"] == config.Sourced(4, f"{path}:2")
        monkeypatch.setenv("OS_LAUNCHER__WORKERS", "5")
        told = config.provenance(load("--config-file", path, "shop:api"))["workers"]
        assert told == config.Sourced(5, "environment OS_LAUNCHER__WORKERS")
        told = config.provenance(load("--config-file", path, "--workers", "6", "shop:api"))["workers"]
        assert told == config.Sourced(6, "command line")

    def test_config_file_replaces_only_the_default_file(self, load, write, etc):
        (etc / "launcher.conf").write_text("[launcher]\nworkers = 2\ndrain_delay = 2\n")
        (etc / "launcher.conf.d").mkdir()
        (etc / "launcher.conf.d" / "x.conf").write_text("[launcher]\nbackoff_max = 3\n")
        conf = load("--config-file", write("[launcher]\nworkers = 4\n"), "shop:api")
        told = config.provenance(conf)
        assert told["workers"].value == 4
        assert told["drain_delay"] == config.Sourced(0, "default")
        assert told["backoff_max"] == config.Sourced(3, f"{etc}/launcher.conf.d/x.conf:2")

    def test_later_file_wins_and_a_directory_is_sorted(self, load, write, tmp_path):
        first = write("[launcher]\nworkers = 2\n", "1.conf")
        write("[launcher]\nworkers = 4\n", "d/b.conf")
        write("[launcher]\nworkers = 3\n", "d/a.conf")
        directory = tmp_path / "d"
        conf = load("--config-file", first, "--config-dir", directory, "shop:api")
        assert config.provenance(conf)["workers"] == config.Sourced(4, f"{directory}/b.conf:2")
        conf = load("--config-dir", directory, "--config-file", first, "shop:api")
        assert config.provenance(conf)["workers"] == config.Sourced(2, f"{first}:2")

    def test_last_assignment_in_a_file_wins(self, load, write):
        path = write("[launcher]\nworkers = 2\nworkers = 3\n")
        assert config.provenance(load("--config-file", path, "shop:api"))["workers"] == config.Sourced(3, f"{path}:3")

    def test_targets_replace_services_of_a_file(self, load, write):
        path = write("[launcher]\nservices = shop:api, shop:scheduler=2\n")
        assert [target.name for target in config.targets(load("--config-file", path))] == ["api", "scheduler"]
        conf = load("shop:other", "--config-file", path, "more.shop:api")
        assert [target.path for target in config.targets(conf)] == ["shop:other", "more.shop:api"]
        assert {target.source for target in config.targets(conf)} == {"command line"}

    def test_every_option_can_be_an_argument_and_a_variable(self, load, monkeypatch):
        sample = {"services": "a:b", "listen": ":1", "backend": "eventlet", "reload_method": "reset"}
        sample |= {"on_crash_loop": "backoff", "log_format": "JSON", "log_level": "DEBUG"}
        sample |= {"command": "web:sh -c 'echo a, $b'", "restart": "never", "ready": "5"}
        sample |= {"limit_jitter": "0.7", "max_worker_memory": "7G", "tls_minimum_version": "1.3"}
        sample |= {f"tls_{kind}_file": f"/{kind}" for kind in ("cert", "key", "ca")}
        sample |= {"runtime_dir": "/r", "termination_log": "/t", "graceful_shutdown_timeout": "70"}
        sample |= {"backdoor_socket": "/b/{pid}"}
        sample |= dict.fromkeys(MOMENTS, "a:hook")
        argv = []
        for option in OPTIONS:
            argv += [f"--{option.name.replace('_', '-')}", sample.get(option.name, "7")]
        by_argument = config.provenance(load(*argv))
        for name, value in zip(BY_NAME, argv[1::2], strict=True):
            monkeypatch.setenv(f"OS_LAUNCHER__{name.upper()}", value)
        by_variable = config.provenance(load())
        assert {name: each.value for name, each in by_argument.items()} == {
            name: each.value for name, each in by_variable.items()
        }
        assert {each.source for each in by_argument.values()} == {"command line"}
        assert by_argument["log_level"].value == "debug"

    def test_other_groups_are_the_applications(self, load, write):
        conf = load("--config-file", write("[DEFAULT]\nworkers = abc\n[shop]\nworker = 1\n"), "shop:api")
        conf.register_opt(cfg.IntOpt("worker"), group="shop")
        assert conf.shop.worker == 1

    def test_interpolation(self, load, write):
        conf = load("--config-file", write("[launcher]\nbackoff_min = 3\nbackoff_max = $backoff_min\n"), "shop:api")
        assert conf.launcher.backoff_max == 3


class TestLines:
    def test_line_of_a_value_with_continuation_and_comments(self, load, write):
        text = (
            "# a\n[launcher]\n; b\nlisten = api=:1,\n   api=:2\n   api=:3\n\nworkers = 2\n"
            "[x]\na=1\n[launcher]\ndrain_delay: 3"
        )
        path = write(text)
        told = config.provenance(load("--config-file", path, "shop:api"))
        assert told["listen"] == config.Sourced(["api=:1", "api=:2", "api=:3"], f"{path}:4")
        assert told["workers"].source == f"{path}:8"
        assert told["drain_delay"] == config.Sourced(3, f"{path}:12")

    def test_group_name_in_any_case_and_windows_line_ends(self, load, tmp_path):
        path = tmp_path / "dos.conf"
        path.write_bytes(b"[Launcher]\r\nworkers = 2\r\n")
        assert config.provenance(load("--config-file", path, "shop:api"))["workers"] == config.Sourced(2, f"{path}:2")


class TestUsage:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--worker", "4"], 'unknown option --worker; did you mean "--workers"?'),
            (["--xyzzy"], "unknown option --xyzzy (see"),
            (["-w", "4"], "unknown option -w"),
            (["--workers"], "argument --workers: expected one argument"),
            (["--config-file"], "argument --config-file: expected one argument"),
        ],
    )
    def test_senseless_command_line(self, load, argv, message):
        with pytest.raises(UsageError) as raised:
            load(*argv)
        assert raised.value.exit_code == 2
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_help_is_on_stdout_and_names_every_option(self, load, capsys):
        with pytest.raises(SystemExit) as raised:
            load("--help")
        assert raised.value.code == 0
        out, err = capsys.readouterr()
        assert not err
        assert all(f"--{name.replace('_', '-')} " in out for name in BY_NAME)


class TestFilesThatCannotBeRead:
    def test_all_at_once_each_with_its_name(self, problems, write, tmp_path):
        write("workers = 2\n", "orphan.conf")
        write("[launcher]\nworkers\n", "noequals.conf")
        write("[launcher\n", "bracket.conf")
        (tmp_path / "binary.conf").write_bytes(b"[launcher]\n\nworkers = \xff\n")
        (tmp_path / "directory.conf").mkdir()
        os.mkfifo(tmp_path / "pipe.conf")
        (tmp_path / "bom.conf").write_text("[launcher]\n", encoding="utf-8-sig")
        names = ["missing", "orphan", "noequals", "bracket", "binary", "bom", "directory", "pipe"]
        argv = [arg for name in names for arg in ("--config-file", tmp_path / f"{name}.conf")]
        lines = problems(*argv, "--config-dir", tmp_path / "nodir", "shop:api")
        expected = [
            "missing.conf: cannot read the config file: No such file or directory",
            "orphan.conf:1: a [section] must come before",
            "noequals.conf:2: No ':' or '=' found",
            "bracket.conf:1: Invalid section",
            "binary.conf:3: not utf-8 text (byte 0xff)",
            "bom.conf:1: begins with a byte order mark; save it as UTF-8 without one",
            "directory.conf: cannot read the config file: Is a directory",
            "pipe.conf: a pipe can be read only once",
            "nodir: cannot read the config directory: No such file or directory",
        ]
        assert len(lines) == len(expected)
        for line, start in zip(lines, expected, strict=True):
            assert line.lower().startswith(f"{tmp_path}/{start}".lower())

    def test_what_a_broken_line_says_is_not_repeated(self, problems, write):
        (line,) = problems("--config-file", write("[x]\npassword hunter2\n"), "shop:api")
        assert "hunter2" not in line

    def test_default_directory_that_is_none(self, problems, etc):
        (etc / "launcher.conf.d").write_text("")
        assert problems("shop:api") == [f"{etc}/launcher.conf.d: cannot read the config directory: Not a directory"]


class TestMistakes:
    def test_all_at_once(self, problems, write, monkeypatch):
        monkeypatch.setenv("OS_LAUNCHER__DRAIN_DELAY", "-1")
        monkeypatch.setenv("OS_LAUNCHER__WORKER", "3")
        monkeypatch.setenv("OS_LAUNCHER_LISTEN", ":80")
        unknown = "(environment): unknown option of the launcher"
        path = write("[launcher]\nworkers = abc\nworker = 4\nbackoff_min = 40\nlisten = nope=:80\n")
        assert problems("--config-file", path, "--startup-timeout", "nan", "shop:api") == [
            f'worker = 4 ({path}:3): unknown option in [launcher]; did you mean "workers"?',
            f'OS_LAUNCHER_LISTEN = :80 {unknown}; did you mean "OS_LAUNCHER__LISTEN"?',
            f'OS_LAUNCHER__WORKER = 3 {unknown}; did you mean "OS_LAUNCHER__WORKERS"?',
            f"workers = abc ({path}:2): must be {ALLOWED}",
            (
                "drain_delay = -1 (environment OS_LAUNCHER__DRAIN_DELAY): "
                "must be a number of seconds from 0, at most 1000000"
            ),
            "startup_timeout = nan (command line): must be a number of seconds above 0, at most 1000000",
            f"backoff_min = 40 ({path}:4): must not be greater than backoff_max = 30 (default)",
            f"listen = nope=:80 ({path}:5): no service is named nope; there is: api",
        ]

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            *(("workers", value) for value in ["0", "-1", "1.5", "", "99999999999", "9" * 5000]),
            *(("workers", value) for value in ["8..2", "0..3", "-1..3", "auto..4", "2..", "Auto"]),
            *(("max_requests", value) for value in ["-1", "1.5", "many", ""]),
            *(("max_worker_memory", value) for value in ["10X", "-1", "512MB", "1.5G", "512", "1K", "G", ""]),
            *(("limit_jitter", value) for value in ["-0.1", "1.1", "nan", "10%", ""]),
            ("max_worker_lifetime", "-1"),
            *(("drain_delay", value) for value in ["-0.1", "inf", "-inf", "NaN", "8s", "", "1e9"]),
            *((name, "0") for name in ["startup_timeout", "backoff_min", "backoff_max", "keepalive_timeout"]),
            ("crash_loop_threshold", "0"),
            ("backend", "gevent"),
            ("reload_method", "rolling"),
            ("on_crash_loop", "restart"),
            ("log_format", "xml"),
            ("log_level", "chatty"),
            ("runtime_dir", "relative"),
            ("termination_log", "also/relative"),
            *(
                ("backdoor_socket", value)
                for value in ["relative-{pid}", "/no/placeholder", "/{pid}{nonsense}", "/{pid"]
            ),
        ],
    )
    def test_impossible_value(self, problems, write, monkeypatch, option, value):
        path = write(f"[launcher]\n{option} = {value}\n")
        (line,) = problems("--config-file", path, "shop:api")
        assert line.startswith(f"{option} = ")
        assert f"({path}:2): must be " in line
        (line,) = problems(f"--{option.replace('_', '-')}={value}", "shop:api")
        assert "(command line): must be " in line
        monkeypatch.setenv(f"OS_LAUNCHER__{option.upper()}", value)
        (line,) = problems("shop:api")
        assert f"(environment OS_LAUNCHER__{option.upper()}): must be " in line

    def test_a_refused_argument_is_not_compared(self, problems):
        lines = problems("--backoff-min", "x", "--backoff-max", "0.1", "shop:api")
        assert lines == ["backoff_min = x (command line): must be a number of seconds above 0, at most 1000000"]

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("$nosuch", "no such option nosuch"),
            ("${other.nosuch}", "no such group [other]"),
            ("$runtime_dir", "refers to itself"),
        ],
    )
    def test_interpolation_of_nothing(self, problems, write, value, reason):
        path = write(f"[launcher]\nruntime_dir = {value}\n")
        (line,) = problems("--config-file", path, "shop:api")
        assert line.startswith(f"runtime_dir = {value} ({path}:2): {reason}")

    def test_list_set_twice_in_a_file(self, problems, load, write):
        path = write("[launcher]\nservices = shop:api\nservices = shop:scheduler\n")
        (line,) = problems("--config-file", path)
        assert line.startswith(f"services = shop:scheduler ({path}:3): set 2 times in this file")
        other = write("[launcher]\nservices = shop:other\n", "other.conf")
        write("[launcher]\nservices = shop:api\n")
        assert config.targets(load("--config-file", path, "--config-file", other))[0].name == "other"

    def test_variable_in_lower_case(self, problems, monkeypatch):
        monkeypatch.setenv("OS_LAUNCHER__workers", "4")
        (line,) = problems("shop:api")
        assert 'did you mean "OS_LAUNCHER__WORKERS"?' in line

    def test_line_ends_in_a_value_do_not_make_lines(self, problems, monkeypatch):
        monkeypatch.setenv("OS_LAUNCHER__LOG_LEVEL", "in\nfo\x1b[31m")
        (line,) = problems("shop:api")
        assert line.isprintable()

    def test_keepalive_that_outlives_the_grace(self, problems, write):
        path = write("[launcher]\nkeepalive_timeout = 8\n")
        (line,) = problems("--config-file", path, "shop:api")
        assert line.startswith(
            f"keepalive_timeout = 8 ({path}:2): must be less than graceful_shutdown_timeout = 8 (default)"
        )

    def test_keepalive_by_default_makes_way(self, load):
        conf = load("--graceful-shutdown-timeout", "4", "shop:api")
        assert conf.launcher.keepalive_timeout == 2
        assert config.provenance(conf)["keepalive_timeout"].source == "default, half of graceful_shutdown_timeout"

    def test_keepalive_without_limit_of_grace(self, load):
        argv = ("--keepalive-timeout", "99", "--graceful-shutdown-timeout", "0", "shop:api")
        assert load(*argv).launcher.keepalive_timeout == 99

    def test_no_services(self, problems):
        (line,) = problems()
        assert "launcher run shop:api" in line

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("shop", "must be MODULE:ATTR"),
            ("shop.py:api", None),
            ("examples/shop.py:api", "MODULE is a module's name, not its file's"),
            ("shop:", "must be MODULE:ATTR"),
            (":api", "must be MODULE:ATTR"),
            ("shop:api=", "workers must be a whole number from 1"),
            ("shop:api=0", "workers must be a whole number from 1"),
            ("shop:api=two", "workers must be a whole number from 1"),
            ("shop:api=8..2", "workers must be a whole number from 1 to 10000, MIN..MAX as in 2..8, or auto"),
            ("shop:api=auto..4", "workers must be a whole number from 1"),
            ("shop:api()", "must be MODULE:ATTR"),
        ],
    )
    def test_target(self, problems, load, target, reason):
        if reason is None:  # a submodule may be called py
            load(target)
            return
        (line,) = problems(target)
        assert line.startswith(f"services = {target} (command line): ")
        assert reason in line

    def test_same_target_twice(self, problems):
        (line,) = problems("shop:api", "shop:api=3")
        assert "services = shop:api (command line): named twice" in line
