"""Commands as services: how they are written, and what is wrong with them, on real files and the real PATH."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from oslo_config import cfg

from launcher import config
from launcher.commands import CommandLine
from launcher.counts import Auto
from launcher.errors import ConfigError
from launcher.supervisor.command import Command
from launcher.supervisor.settings import Listen, ServiceSpec, Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path):
    return lambda *argv: config.load([str(arg) for arg in argv], etc=tmp_path / "etc")


@pytest.fixture
def settings(load):
    return lambda *argv: config.settings(load(*argv), ())


@pytest.fixture
def problems(load):
    def problems(*argv):
        with pytest.raises(ConfigError) as raised:
            config.settings(load(*argv), ())
        assert raised.value.exit_code == 78
        return str(raised.value).splitlines()

    return problems


@pytest.mark.parametrize(
    ("text", "name", "workers", "words"),
    [
        ("web:sh", "web", None, ("sh",)),
        ("web=4:sh -c 'a  b' \"c d\" e\\ f", "web", 4, ("sh", "-c", "a  b", "c d", "e f")),
        ("web=auto:sh", "web", Auto(), ("sh",)),
        ("my-web.2:  sh a:b=c ''", "my-web.2", None, ("sh", "a:b=c", "")),
        ("web:sh $HOME *.py # | ;", "web", None, ("sh", "$HOME", "*.py", "#", "|", ";")),
        ("web:sh a\n b", "web", None, ("sh", "a", "b")),
    ],
)
def test_a_command_line(text, name, workers, words):
    assert CommandLine.parse(text) == CommandLine(name, workers, words)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("sh", "must be NAME:PROGRAM"),
        (":sh", "must be NAME:PROGRAM"),
        ("a b:sh", "must be NAME:PROGRAM"),
        ("web:", "no program to run"),
        ("web:   ", "no program to run"),
        ("web:''", "no program to run"),
        ("web:sh 'a", "cannot be split into words: no closing quotation"),
        ("web=0:sh", "the number of workers must be a whole number from 1"),
        ("web=:sh", "the number of workers must be"),
        ("web=2..4:sh", "workers = 2..4 follows how busy workers are"),
        ("web:no-such-program", "no program no-such-program in any folder of PATH"),
        ("web:./no-such-program", "there is no ./no-such-program"),
        ("web:/etc/passwd", "/etc/passwd is not an executable file"),
        ("web:/etc", "/etc is not an executable file"),
    ],
)
def test_what_is_no_command_line(problems, text, what):
    (problem,) = problems("--command", text)
    assert problem.startswith(("command = web", f"command = {text}"))
    assert "(command line): " in problem
    assert what in problem


@pytest.mark.parametrize(
    ("word", "becomes", "wants_socket"),
    [
        ("{fd}", "3", True),
        ("--bind=fd://{fd}", "--bind=fd://3", True),
        ("{worker}-{worker}", "7-7", False),
        ("{{fd}}", "{fd}", False),
        ("${HOME} {} {x} {{x}} {print $1}", "${HOME} {} {x} {{x}} {print $1}", False),
    ],
)
def test_placeholders(word, becomes, wants_socket):
    command = Command("web", ("sh", word))
    assert command.words_for(7) == ["sh", becomes]
    assert command.wants_socket is wants_socket


class TestSettings:
    def test_a_command_has_a_service_and_what_it_executes(self, settings):
        found = settings("--command", "web=2:sh {fd}", "--command", "job:sh -c 'echo a, b'", "--workers", "3")
        assert found.commands == (Command("web", ("sh", "{fd}")), Command("job", ("sh", "-c", "echo a, b")))
        assert found.services == tuple(
            ServiceSpec(name, workers, ready_after=1.0, dumps_stacks=False)
            for name, workers in (("web", 2), ("job", 3))
        )
        assert found.listen == (Listen("web", "0.0.0.0:8080", "default", blocking=True),)
        assert not found.needs_mold
        assert Settings.from_json(found.to_json()) == found

    def test_an_address_makes_no_placeholder_necessary(self, settings):
        found = settings("--command", "web:sh", "--listen", "web=:1")
        assert found.listen == (Listen("web", ":1", "command line", blocking=True),)

    def test_readiness_and_restart_are_said_of_all_or_of_one(self, settings):
        commands = ("--command", "a:sh", "--command", "b:sh", "--command", "c:sh")
        found = settings(*commands, "--ready", "5,b=notify,c=0.5", "--restart", "on-failure, c = never")
        assert [(each.ready_after, each.restart) for each in found.services] == [
            (5.0, "on-failure"),
            (None, "on-failure"),
            (0.5, "never"),
        ]
        assert [each.notifies for each in found.commands] == [False, True, False]

    def test_the_default_readiness_makes_way_for_startup_timeout(self, settings):
        (found,) = settings("--command", "web:sh", "--startup-timeout", "0.5").services
        assert found.ready_after == 0.25

    def test_restart_is_said_of_applications_too(self, load):
        conf = load("shop:api", "--restart", "api=never")
        assert conf.launcher.restart == ["api=never"]

    @pytest.mark.parametrize("origin", ["argument", "variable", "file"])
    def test_commas_and_dollars_are_the_commands_own(self, settings, origin, monkeypatch, tmp_path):
        text = r"web:sh -c 'echo $workers ${x} $$ \$ a,b %(c)s'"
        path = tmp_path / "app.conf"
        path.write_text("[launcher]\n" + (f"command = {text}\n  job:sh\n" if origin == "file" else ""))
        if origin == "variable":
            monkeypatch.setenv("OS_LAUNCHER__COMMAND", f"{text}\njob:sh")
        arguments = ("--command", text, "--command", "job:sh") if origin == "argument" else ()
        found = settings("--config-file", path, *arguments)
        assert [each.words for each in found.commands] == [
            ("sh", "-c", r"echo $workers ${x} $$ \$ a,b %(c)s"),
            ("sh",),
        ]


class TestMistakes:
    def test_all_at_once(self, problems):
        found = problems("--command", "a:no-such", "--command", "b:sh 'x", "--workers", "many", "--restart", "soon")
        assert [problem.partition(" ")[0] for problem in found] == ["workers", "command", "command"]

    def test_the_name_of_another_service(self, problems):
        (problem,) = problems("shop:api", "--command", "api:sh")
        assert problem == "command = api (command line): services has one of this name already; choose another"
        (problem,) = problems("--command", "api:sh", "--command", "api:sh -c x")
        assert "a command api is there already" in problem

    def test_a_socket_that_nobody_gives(self, problems):
        (problem,) = problems("--command", "web:sh {fd}", "--command", "other:sh", "--listen", "other=:1")
        assert problem.startswith("service web wants an address and has none: say which, as in `listen = web=")

    def test_the_number_of_workers_is_elastic_by_default(self, problems):
        (problem,) = problems("--command", "web:sh", "--workers", "2..4")
        assert "say how many, as in web=4: workers = 2..4 (command line) follows how busy workers are" in problem

    @pytest.mark.parametrize(
        ("option", "value", "what"),
        [
            ("ready", "web=soon", "must be [SERVICE=]notify or [SERVICE=]SECONDS"),
            ("ready", "-1", "must be [SERVICE=]notify"),
            ("ready", "nan", "must be [SERVICE=]notify"),
            ("ready", "wbe=1", 'no service is named wbe; did you mean "web"?'),
            ("ready", "api=1", "api is no command, it says itself when it is ready"),
            ("ready", "web=60", "must be less than startup_timeout = 60 (default)"),
            ("ready", "1,2", "set before for all services"),
            ("restart", "web=sometimes", "POLICY one of: always, on-failure, never"),
            ("restart", "nobody=never", "no service is named nobody; there is: api, web"),
            ("restart", "web=never,web=always", "set before for web"),
        ],
    )
    def test_what_is_said_of_services(self, problems, option, value, what):
        (problem,) = problems("shop:api", "--command", "web:sh", f"--{option}", value)
        assert problem.startswith(f"{option} = ")
        assert what in problem

    def test_nothing_to_run(self, problems):
        (problem,) = problems()
        assert "launcher run --command 'web:./server'" in problem

    def test_a_file_that_sets_them_twice(self, problems, tmp_path):
        path = tmp_path / "app.conf"
        path.write_text("[launcher]\ncommand = a:sh\ncommand = b:sh\n")
        (problem,) = problems("--config-file", path)
        assert "set 2 times in this file" in problem
        assert "one value a line, the further lines indented" in problem


class TestOfAProgramThatLaunchesItsServicesItself:
    @pytest.fixture
    def foreign(self):
        conf = cfg.ConfigOpts()
        config.register(conf)
        conf([], default_config_files=[], default_config_dirs=[])
        return conf

    def test_commands_are_not_for_it(self, foreign):
        foreign.set_override("command", "web:sh", group="launcher")
        with pytest.raises(ConfigError, match=r"command = web:sh .*: only `launcher run` runs commands"):
            config.settings(foreign, ())

    def test_restart_is(self, foreign):
        foreign.set_override("restart", "api=never", group="launcher")
        entry = SimpleNamespace(target=SimpleNamespace(name="api", workers=1), wants_socket=False, made_anew=True)
        assert config.settings(foreign, [entry]).services == (ServiceSpec("api", 1, restart="never"),)
        foreign.set_override("restart", "api=soon", group="launcher")
        with pytest.raises(ConfigError, match="POLICY one of"):
            config.settings(foreign, [entry])
