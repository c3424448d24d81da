"""Hooks: what can be one, and how it is called."""

from __future__ import annotations

import pytest

from launcher.errors import ConfigError
from launcher.worker.hook_process import REASON_MAX, run_and_wait
from launcher.worker.hooks import Hook, WorkerInfo, load

SOURCE = """
called = []
def nothing(): called.append(())
def one(conf): called.append((conf,))
def two(conf, about): called.append((conf, about))
def anything(*args): called.append(args)
def optional(conf, colour="red"): called.append((conf, colour))
def many(a, b, c): pass
def named(*, conf): pass
async def later(): pass
number = 7
class Given:
    def method(self, conf): called.append((conf,))
given = Given()
def exits(): raise SystemExit(0)
def fails(): raise LookupError("no such table")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    name = f"hooked_{tmp_path.name.strip('0').replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def the_hook(module, attr, moment="post_fork"):
    return load({moment: (f"{module}:{attr}", "shop.conf:3")})[moment]


ABOUT = WorkerInfo("api", 2, 1)


@pytest.mark.parametrize(
    ("attr", "moment", "called"),
    [
        ("nothing", "post_fork", ()),
        ("one", "post_fork", ("conf",)),
        ("two", "worker_exit", ("conf", ABOUT)),
        ("anything", "post_fork", ("conf", ABOUT)),
        ("anything", "preload", ("conf",)),
        ("optional", "post_fork", ("conf", "red")),
        ("given.method", "preload", ("conf",)),
    ],
)
def test_a_hook_is_called_with_what_it_requires(module, attr, moment, called):
    hook = the_hook(module, attr, moment)
    hook("conf", ABOUT)
    assert hook.function.__globals__["called"] == [called]


@pytest.mark.parametrize(
    ("attr", "moment", "reason"),
    [
        ("two", "pre_stop", "a hook takes nothing, or the configuration; this one requires something else"),
        (
            "many",
            "post_fork",
            "a hook takes nothing, or the configuration, or it and the worker; this one requires some",
        ),
        ("named", "preload", "a hook takes nothing, or the configuration; this one requires something else"),
        ("later", "preload", "it is asynchronous; a hook is not"),
        ("number", "preload", "a int is not callable"),
        ("nothin", "preload", 'has no attribute nothin; did you mean "nothing"?'),
    ],
)
def test_what_cannot_be_called_so_is_refused(module, attr, moment, reason):
    with pytest.raises(ConfigError) as refused:
        the_hook(module, attr, moment)
    assert str(refused.value).startswith(f"{moment} = {module}:{attr} (shop.conf:3): ")
    assert reason in str(refused.value)


def test_all_that_cannot_be_loaded_is_told_at_once(module):
    named = {"pre_start": (f"{module}:x", "a"), "preload": (f"{module}:y", "b"), "post_fork": (f"{module}:one", "c")}
    with pytest.raises(ConfigError) as refused:
        load(named)
    assert len(str(refused.value).splitlines()) == 2


def test_one_that_fails_says_so_in_a_line_with_its_traceback(module, capfd):
    the_hook(module, "exits").run("conf")
    assert capfd.readouterr().err == ""
    with pytest.raises(ConfigError, match=r"failed: LookupError: no such table \(.*\.py:\d+\)$"):
        the_hook(module, "fails").run("conf")
    told = capfd.readouterr().err
    assert "LookupError: no such table" in told
    assert "launcher/worker" not in told, "only the application's frames"


@pytest.mark.parametrize(
    ("source", "reason"),
    [("x" + "\u00e9" * REASON_MAX, r"\(x\u00e9"), ("not UTF-8: \udcff", "RuntimeError: no")],
    ids=["cut", "surrogate"],
)
def test_a_reason_in_any_words_comes_from_its_process(source, reason):
    def fails():
        raise RuntimeError("no")

    with pytest.raises(ConfigError, match=reason):
        run_and_wait(Hook("pre_start", "shop:prepare", source, fails, 0), None, 0)
