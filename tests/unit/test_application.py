"""Real modules in a directory of their own."""

from __future__ import annotations

import os
import sys
from textwrap import dedent

import pytest
from oslo_config import cfg

from launcher import config
from launcher.errors import ConfigError
from launcher.worker import application
from launcher.worker.application import Target

SERVICE = """
class Service:
    def start(self): pass
    def stop(self, graceful=False): pass
    def wait(self): pass
"""
WSGI = """
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Write modules and run in their directory; what was imported is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(text, name="shop.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    config.register(conf)
    conf([], default_config_files=[], default_config_dirs=[])
    return conf


def load(*texts):
    return application.load(application.targets(texts, "f.conf:3"))


def reasons(*texts):
    with pytest.raises(ConfigError) as raised:
        load(*texts)
    return str(raised.value).splitlines()


class TestTargets:
    def test_parts(self):
        assert Target.parse("my.shop:sub.api=4", "x") == Target("api", "my.shop", "sub.api", 4, "x")
        assert Target.parse("shop:api", "x").workers is None

    def test_names_that_two_have(self):
        found = application.targets(["shop:api", "other:api=2", "shop:job"], "x")
        assert [target.name for target in found] == ["shop:api", "other:api", "job"]

    def test_all_problems(self):
        with pytest.raises(ConfigError) as raised:
            application.targets(["shop", "a:b=0", "a:c", "a:c=2"], "x")
        assert len(str(raised.value).splitlines()) == 3


class TestKinds:
    @pytest.mark.parametrize(
        ("text", "attr"),
        [
            (SERVICE, "Service"),
            (SERVICE + "class Sub(Service):\n    def __init__(self, *args, **kwargs): pass\n", "Sub"),
            (SERVICE + "ready = Service()\n", "ready"),
            (SERVICE + "def make(): return Service()\n", "make"),
            (SERVICE + "def make(conf=None): assert conf is None; return Service()\n", "make"),
            (SERVICE + "def make(conf): assert conf.launcher; return Service()\n", "make"),
            (SERVICE + "make = lambda conf, threads=3: Service()\n", "make"),
            (SERVICE + "class Maker:\n    def __call__(self, conf): return Service()\nmake = Maker()\n", "make"),
            (SERVICE + "class box:\n    inner = Service\n", "box.inner"),
        ],
    )
    def test_service(self, app, conf, text, attr):
        app(text)
        (entry,) = load(f"shop:{attr}")
        assert not entry.wants_socket
        made = entry.make(conf)
        made.start()
        assert not isinstance(made, type)

    def test_class_that_requires_the_configuration(self, app, conf):
        app(SERVICE + "class Sub(Service):\n    def __init__(self, conf, threads=1): self.conf = conf\n")
        (entry,) = load("shop:Sub")
        assert entry.make(conf).conf is conf

    def test_instance_is_used_as_it_is_and_class_is_made_anew(self, app, conf):
        app(SERVICE + "ready = Service()\n")
        ready, made = load("shop:ready", "shop:Service")
        assert ready.make(conf) is sys.modules["shop"].ready
        assert made.make(conf) is not made.make(conf)

    def test_wants_socket(self, app):
        app(SERVICE + "class Web(Service):\n    wants_socket = True\ndef make(conf): pass\nmake.wants_socket = True\n")
        assert [entry.wants_socket for entry in load("shop:Web", "shop:make", "shop:Service")] == [True, True, False]

    @pytest.mark.parametrize(
        ("text", "attr", "wants_socket"),
        [
            (WSGI, "wsgi", True),
            ("def wsgi(*args): pass\n", "wsgi", True),
            ("def wsgi(*args, **kwargs): pass\n", "wsgi", True),
            ("class App:\n    def __call__(self, environ, start_response): pass\nwsgi = App()\n", "wsgi", True),
            ("class wsgi:\n    def __init__(self, e, s): pass\n    def __iter__(self): yield b''\n", "wsgi", True),
            (WSGI + "def make(conf): return wsgi\n", "make", False),
            (WSGI + "def make(): return wsgi\n", "make", False),
        ],
    )
    def test_wsgi(self, app, conf, text, attr, wants_socket):
        from launcher.service.wsgi import WSGIService

        conf.set_override("keepalive_timeout", 3.0, "launcher")
        app(text)
        (entry,) = load(f"shop:{attr}")
        assert entry.wants_socket is wants_socket
        made = entry.make(conf)
        assert isinstance(made, WSGIService)
        assert made.app is sys.modules["shop"].wsgi
        assert made.keepalive_timeout == 3

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("class it: pass\n", "it is a class but no service: it has no start(), stop(), wait()"),
            (SERVICE + "class it(Service):\n    wait = None\n", "it is a class but no service: it has no wait()"),
            (SERVICE + "class it(Service):\n    def __init__(self, a, b): pass\n", "it must be made with nothing or"),
            (SERVICE + "class it(Service):\n    def __init__(self, *, a): pass\n", "it must be made with nothing or"),
            ("it = 3\n", "a int is neither a service nor callable"),
            ("def it(a, b, c): pass\n", "a callable takes nothing or"),
            ("def it(conf, *, key): pass\n", "a callable takes nothing or"),
            ("async def it(scope, receive, send): pass\n", "it is asynchronous"),
            ("class A:\n    async def __call__(self, a, b): pass\nit = A()\n", "it is asynchronous"),
            (
                SERVICE + "import abc\nclass it(Service, abc.ABC):\n    @abc.abstractmethod\n    def go(self): pass\n",
                "it is abstract: it does not define go",
            ),
        ],
    )
    def test_not_usable(self, app, capsys, text, reason):
        app(text)
        (line,) = reasons("shop:it")
        assert line.startswith(f"shop:it (f.conf:3): {reason}")
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("result", ["None", "3", "Service", "lambda: 0"])
    def test_factory_that_returns_nothing_useful(self, app, conf, result):
        app(SERVICE + f"def make(conf): return {result}\n")
        (entry,) = load("shop:make")
        with pytest.raises(ConfigError, match=r"^shop:make \(f.conf:3\): the factory returned a "):
            entry.make(conf)

    def test_exception_of_a_factory_passes(self, app, conf):
        app("def make(conf): raise ZeroDivisionError\n")
        (entry,) = load("shop:make")
        with pytest.raises(ZeroDivisionError):
            entry.make(conf)


class TestFailures:
    def test_module_that_does_not_exist(self, app, tmp_path, capsys):
        app(WSGI)
        (line,) = reasons("shpo:wsgi")
        where = f"{tmp_path} or among the installed packages"
        assert line == f'shpo:wsgi (f.conf:3): no module named shpo in {where}; did you mean "shop"?'
        assert capsys.readouterr().err == ""

    def test_submodule_that_does_not_exist(self, app):
        app("", "pack/__init__.py")
        app("", "pack/api.py")
        app("", "shop.py")
        assert reasons("pack.apo:x", "shop.py:x") == [
            'pack.apo:x (f.conf:3): no module named apo in pack; did you mean "api"?',
            "shop.py:x (f.conf:3): no module named py in shop; MODULE is a module's name, not its file's",
        ]

    def test_attribute_that_does_not_exist(self, app):
        app(WSGI + "class box: inner = 1\n")
        assert reasons("shop:wsgo", "shop:box.outer", "shop:xyz") == [
            'shop:wsgo (f.conf:3): module shop has no attribute wsgo; did you mean "wsgi"?',
            "shop:box.outer (f.conf:3): class box has no attribute outer",
            "shop:xyz (f.conf:3): module shop has no attribute xyz",
        ]

    @pytest.mark.parametrize(
        ("text", "reason", "line"),
        [
            ("\nimport nosuch_xyz\n", "ModuleNotFoundError: No module named 'nosuch_xyz'", 2),
            ("from os import nosuch\n", f"ImportError: cannot import name 'nosuch' from 'os' ({os.__file__})", 1),
            ("def f():\n  raise ValueError('a\\nb')\nf()\n", "ValueError: a", 2),
            ("def f(:\n", "SyntaxError: invalid syntax", 1),
            ("x = 1\n  y = 2\n", "IndentationError: unexpected indent", 2),
            ("import sys\nsys.exit(3)\n", "SystemExit: 3", 2),
            ("raise SystemExit\n", "SystemExit", 1),
            ("class E(Exception):\n  def __str__(self): 1/0\nraise E\n", "E", 3),
        ],
    )
    def test_application_that_fails(self, app, capsys, text, reason, line):
        path = app(text)
        (told,) = reasons("shop:x")
        assert told == f"shop:x (f.conf:3): importing shop failed: {reason} ({path}:{line})"
        err = capsys.readouterr().err
        assert f'File "{path}", line {line}' in err
        assert "importing.py" not in err
        assert "importlib" not in err

    def test_cause_is_shown_without_our_frames(self, app, capsys):
        again = "importlib.import_module('nope_x')"
        app(f"import importlib\ntry:\n  {again}\nexcept ImportError as err:\n  raise ValueError from err\n")
        reasons("shop:x")
        err = capsys.readouterr().err
        assert "direct cause" in err
        assert "importlib/__init__" not in err

    def test_module_that_fails_is_imported_and_shown_once(self, app, capsys):
        app("print('imported')\n1/0\n")
        assert len(reasons("shop:a", "shop:b", "shpo:c")) == 3
        out, err = capsys.readouterr()
        assert out == "imported\n"
        assert err.count("ZeroDivisionError") == 1

    def test_lazy_attribute_that_fails(self, app, capsys):
        app("def __getattr__(name):\n  if name == 'x': raise RuntimeError('lazy')\n  raise AttributeError(name)\n")
        (line,) = reasons("shop:x")
        assert "importing x from shop failed: RuntimeError: lazy" in line
        assert "Traceback" in capsys.readouterr().err

    def test_interrupt_is_no_failure_of_the_application(self, app):
        app("raise KeyboardInterrupt\n")
        with pytest.raises(KeyboardInterrupt):
            load("shop:x")

    @pytest.mark.parametrize("closed", [True, False])
    def test_without_stderr(self, app, monkeypatch, tmp_path, closed):
        stream = None
        if closed:
            stream = (tmp_path / "gone").open("w")
            stream.close()
        monkeypatch.setattr(sys, "stderr", stream)
        app("1/0\n")
        assert len(reasons("shop:x")) == 1


def test_working_directory_wins_over_what_is_installed(app):
    app("def it(environ, start_response): pass\n", "colorsys.py")
    sys.modules.pop("colorsys", None)
    load("colorsys:it")
    load("colorsys:it")
    assert sys.path.count(str(sys.path[0])) == 1
