"""What PID 1 is handed of a configuration: addresses, services, policy; and of a program's own configuration."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from launcher import config
from launcher.addresses import Address
from launcher.counts import Machine
from launcher.errors import ConfigError
from launcher.options import BY_NAME
from launcher.supervisor.settings import Listen, Policy, ServiceSpec, Settings

pytestmark = pytest.mark.usefixtures("clean_environment")


def entries(conf, *wanting):
    return [
        SimpleNamespace(target=target, wants_socket=target.name in wanting, make=None, made_anew=True)
        for target in config.targets(conf)
    ]


class TestAddresses:
    @pytest.mark.parametrize(
        "text",
        ["0.0.0.0:8080", ":8080", "localhost:0", "[::1]:80", "[::]:65535", "unix:/run/a=b.sock", "unix:rel.sock"],
    )
    def test_good(self, text):
        assert Address.parse(text).text == text
        assert Address.parse(text).service is None
        assert Address.parse(f"api={text}") == Address(text, "api", Address.parse(text).identity)
        assert Address.parse(f"shop:api={text}").service == "shop:api"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("8080", "must be"),
            ("localhost", "must be"),
            (":65536", "the port must be"),
            (":-1", "the port must be"),
            (":http", "the port must be"),
            (":٣", "the port must be"),
            ("::1:80", "needs its brackets"),
            ("[::x]:80", "not an IPv6 address"),
            ("[fe80::1%]:80", "not an IPv6 address"),
            ("01.2.3.4:80", "not an IPv4 address"),
            ("1.2.3.400:80", "not an IPv4 address"),
            ("a b:80", "not a host name"),
            ("http://a:80", "needs its brackets"),
            ("unix:", "no path"),
            ("unix:/" + "x" * 107, "socket path too long: 108 bytes"),
            ("unix:/" + "é" * 54, "socket path too long: 109 bytes"),
            ("=:80", "no service before ="),
        ],
    )
    def test_bad(self, problems, text, reason):
        with pytest.raises(ValueError) as raised:
            Address.parse(text)
        assert reason in str(raised.value)
        (line,) = problems(f"--listen={text}", "shop:api")
        assert line.startswith("listen = ")
        assert "(command line): " in line
        assert reason in line

    def test_longest_path(self):
        assert Address.parse("unix:/" + "x" * 106)

    @given(st.text())
    def test_any_text_parses_or_says_why(self, text):
        try:
            Address.parse(text)
        except ValueError as err:
            assert "\n" not in str(err)  # noqa: PT017

    @pytest.mark.parametrize(
        ("one", "other"),
        [(":80", "0.0.0.0:80"), ("[::1]:80", "[0:0::1]:80"), ("unix:/a", "unix:/b/../a"), ("Host:80", "host:80")],
    )
    def test_same_address_twice(self, problems, one, other):
        lines = problems("--listen", f"a={one}", "--listen", f"b={other}", "shop:a", "shop:b")
        assert lines == [f"listen = b={other} (command line): the same address as a={one}"]

    @pytest.mark.parametrize(
        ("one", "other"),
        [("0.0.0.0:80", "127.0.0.1:80"), ("localhost:80", ":80"), ("[::1]:80", "[::]:80")],
    )
    def test_addresses_that_overlap(self, problems, one, other):
        lines = problems("--listen", f"{one},{other}", "shop:a")
        assert lines == [f"listen = {other} (command line): overlaps with {one}; keep one of them"]

    @pytest.mark.parametrize("listen", ["0.0.0.0:80,[::]:80", ":80,127.0.0.1:81", ":0,127.0.0.1:0", "[::]:80,[::1]:0"])
    def test_addresses_that_do_not_overlap(self, load, listen):
        load("--listen", listen, "shop:a")

    @pytest.mark.parametrize(
        ("text", "host"),
        [(":08", "0.0.0.0"), ("[0::0]:8", "::"), ("[FE80::1%eth0]:8", "fe80::1%eth0"), ("A.b:8", "a.b")],
    )
    def test_identity(self, text, host):
        assert Address.parse(text).identity == ("tcp", host, "8")

    def test_any_free_port_twice(self, load):
        load("--listen", "a=:0,b=:0", "shop:a", "shop:b")

    def test_unknown_service(self, problems):
        (line,) = problems("--listen", "apo=:80", "shop:api", "shop:scheduler")
        assert line == 'listen = apo=:80 (command line): no service is named apo; did you mean "api"?'


class TestSettings:
    def test_everything_arrives(self, load, write):
        path = write(
            "[launcher]\nservices = shop:api=4, shop:scheduler\nworkers = 2\nreload_method = reset\n"
            "graceful_shutdown_timeout = 20\ndrain_delay = 1.5\nstartup_timeout = 30\nbackoff_min = 1\n"
            "backoff_max = 2\ncrash_loop_threshold = 3\ncrash_loop_window = 4\non_crash_loop = backoff\n"
            "log_format = json\nlog_level = debug\nruntime_dir = /r\ntermination_log = /t\n"
            "max_worker_lifetime = 60\nmax_requests = 1000\nmax_worker_memory = 512m\nlimit_jitter = 0.2\n"
            "remold_after = 90\n"
        )
        conf = load("--config-file", path)
        assert config.settings(conf, entries(conf, "api")) == Settings(
            services=(ServiceSpec("api", 4, remold_after=90), ServiceSpec("scheduler", 2, remold_after=90)),
            listen=(Listen("api", "0.0.0.0:8080", "default"),),
            policy=Policy(
                graceful_shutdown_timeout=20,
                drain_delay=1.5,
                startup_timeout=30,
                backoff_min=1,
                backoff_max=2,
                crash_loop_threshold=3,
                crash_loop_window=4,
                exit_on_crash_loop=False,
                max_worker_lifetime=60,
                limit_jitter=0.2,
            ),
            reset_on_hup=True,
            log_format="json",
            log_level="debug",
            runtime_dir="/r",
            termination_log="/t",
            max_requests=1000,
            max_worker_memory=512 * 2**20,
        )

    @pytest.mark.parametrize(
        ("text", "amount"), [("0", 0), ("1M", 2**20), ("2g", 2**31), ("1024k", 2**20), ("5000000", 5_000_000)]
    )
    def test_amounts_of_memory(self, load, text, amount):
        assert load("--max-worker-memory", text, "shop:api").launcher.max_worker_memory == amount

    def test_as_many_as_the_load_needs(self, load):
        conf = load("--workers", "2..8", "shop:api", "shop:b=3", "shop:c=1..4")
        assert config.settings(conf, entries(conf)).services == (
            ServiceSpec("api", 2, 8),
            ServiceSpec("b", 3),
            ServiceSpec("c", 1, 4),
        )

    def test_as_many_as_the_container_may_use(self, load, monkeypatch):
        monkeypatch.setattr(Machine, "here", lambda: Machine(8, 1.5, 2**30))
        conf = load("shop:api=auto", "shop:b", "shop:c=auto", "--max-worker-memory", "1G")
        settings = config.settings(conf, entries(conf))
        assert settings.services == (ServiceSpec("api", 1), ServiceSpec("b", 1), ServiceSpec("c", 1))
        (note,) = settings.notes
        assert note.startswith("api, c: workers = auto is 1 by affinity to 8 CPUs, a CPU quota of 1.5, a memory limit")
        assert note.endswith("at least 1024 MiB for each")
        conf = load("shop:api", "shop:b=3", "--workers", "auto")
        settings = config.settings(conf, entries(conf))
        assert settings.services == (ServiceSpec("api", 2), ServiceSpec("b", 3))
        assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings

    def test_defaults_are_those_of_the_policy(self, load):
        conf = load("shop:api")
        assert config.settings(conf, entries(conf)).policy == Policy()

    def test_no_limit_of_grace(self, load):
        conf = load("--graceful-shutdown-timeout", "0", "shop:api")
        assert config.settings(conf, entries(conf)).policy.graceful_shutdown_timeout == math.inf

    @pytest.mark.parametrize(
        ("listen", "wanting", "expected"),
        [
            (None, [], []),
            (None, ["api"], [("api", "0.0.0.0:8080")]),
            (":80,unix:/a", ["b"], [("b", ":80"), ("b", "unix:/a")]),
            ("b=:81,api=:80", ["b", "api"], [("b", ":81"), ("api", ":80")]),
            ("b=:81", [], [("b", ":81")]),
            ("b=:81,:80", ["api"], [("b", ":81"), ("api", ":80")]),
        ],
    )
    def test_whose_address(self, load, listen, wanting, expected):
        conf = load("shop:api", "shop:b", *(["--listen", listen] if listen else []))
        found = config.settings(conf, entries(conf, *wanting)).listen
        assert [(each.service, each.address) for each in found] == expected

    def test_the_only_service_gets_an_address_that_was_asked_for(self, load):
        conf = load("shop:make")
        assert config.settings(conf, entries(conf)).listen == ()
        conf = load("--listen", ":80", "shop:make")
        assert config.settings(conf, entries(conf)).listen == (Listen("make", ":80", "command line"),)

    @pytest.mark.parametrize(
        ("listen", "wanting", "expected"),
        [
            (None, ["api", "b"], "listen = 0.0.0.0:8080 (default): for which of api, b? Say so, as in `listen = api="),
            (":80", ["api", "b"], "listen = :80 (command line): for which of api, b?"),
            (":80", [], "listen = :80 (command line): for which of api, b?"),
            ("b=:80", ["api", "b"], "service api wants an address and has none: say which, as in `listen = api=0.0."),
            (",", ["b"], "service b wants an address and has none"),
        ],
    )
    def test_address_of_nobody_and_nobody_without_address(self, load, listen, wanting, expected):
        conf = load("shop:api", "shop:b", *([f"--listen={listen}"] if listen else []))
        with pytest.raises(ConfigError) as raised:
            config.settings(conf, entries(conf, *wanting))
        assert str(raised.value).startswith(expected)


class TestOfAProgram:
    def test_register_twice_and_sources(self, tmp_path, monkeypatch):
        path = tmp_path / "app.conf"
        path.write_text("[launcher]\nworkers = 3\n")
        monkeypatch.setenv("OS_LAUNCHER__DRAIN_DELAY", "2")
        conf = cfg.ConfigOpts()
        config.register(conf)
        config.register(conf)
        conf(["--config-file", str(path)])
        conf.set_override("log_level", "debug", "launcher")
        told = config.provenance(conf)
        assert told["workers"] == config.Sourced(3, str(path))
        assert told["drain_delay"] == config.Sourced(2, "environment OS_LAUNCHER__DRAIN_DELAY")
        assert told["log_level"] == config.Sourced("debug", "set by the program")
        assert told["listen"].source == "default"

    def test_its_mistakes(self, tmp_path):
        path = tmp_path / "app.conf"
        path.write_text(
            "[launcher]\nworkers = abc\nlisten = 8080\nruntime_dir = $x\ntermination_log = $termination_log\n"
            "backoff_min = 40\n"
        )
        conf = cfg.ConfigOpts()
        config.register(conf)
        conf(["--config-file", str(path)])
        with pytest.raises(ConfigError) as raised:
            config.settings(conf, ())
        workers, *others = str(raised.value).splitlines()
        assert "workers" in workers
        assert str(path) in workers
        assert "'abc': must be a whole number" in workers
        assert [line.partition(":")[0] for line in others] == [
            "runtime_dir in [launcher]",
            "termination_log in [launcher]",
            f"backoff_min = 40 ({path})",
            f"listen = 8080 ({path})",
        ]

    def test_list_opts_is_for_the_generator(self):
        ((group, options),) = config.list_opts()
        assert group == "launcher"
        assert [option.name for option in options] == list(BY_NAME)
        assert all(option.help and option.help.endswith(".") for option in options)
