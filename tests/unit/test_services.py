"""Services and the in-process launcher."""

from __future__ import annotations

from importlib import import_module

import pytest

from launcher.errors import ConfigError
from launcher.service import readiness
from launcher.service.base import Service, ServiceBase
from launcher.service.services import Launcher, Services
from launcher.service.wsgi import WSGIService
from launcher.worker import backends
from launcher.worker.backends import Terms

PATIENCE = 10.0  # seconds


@pytest.fixture(params=backends.KINDS)
def backend(monkeypatch, request):
    backend = import_module(f"launcher.worker.backends.{request.param}").BACKEND
    monkeypatch.setattr(backends, "_selected", backend)  # nothing is patched here, so both can be in one process
    return backend


@pytest.fixture
def launcher(backend):
    launcher = Launcher(None)
    yield launcher
    launcher.stop()


class Wild:
    """A service of the shape of oslo.service's, of no class of ours."""

    def __init__(self):
        self.calls = []

    def start(self):
        self.calls.append("start")

    def stop(self, graceful=False):
        self.calls.append(f"stop graceful={graceful}")

    def wait(self):
        self.calls.append("wait")

    def reset(self):
        self.calls.append("reset")


def ended(backend, call, *args):
    end = backend.event()

    def run():
        call(*args)
        end.set()

    backend.spawn(run)
    return end


def test_a_service_of_another_class_is_run_as_it_is(launcher):
    service = Wild()
    launcher.launch_service(service)
    launcher.stop()
    launcher.wait()
    assert service.calls == ["start", "stop graceful=False", "wait", "wait"]
    assert service.backdoor_port is None


def test_reset_may_be_missing(launcher):
    class Small:
        def start(self): ...
        def stop(self): ...
        def wait(self): ...

    wild = Wild()
    launcher.launch_service(Small())
    launcher.launch_service(wild)
    launcher.services.reset()
    assert wild.calls == ["start", "reset"]


@pytest.mark.parametrize("thing", [object(), None, "shop:api", Wild, print])
def test_what_is_no_service_is_refused(launcher, thing):
    with pytest.raises(TypeError, match=r"is no service|is a class"):
        launcher.launch_service(thing)


@pytest.mark.parametrize("workers", [0, 2, -1])
def test_one_process_has_one_worker(launcher, workers):
    service = Wild()
    with pytest.raises(ValueError, match="workers"):
        launcher.launch_service(service, workers=workers)
    assert service.calls == []


def test_an_exception_in_start_reaches_the_caller(launcher):
    class Broken(Service):
        def start(self):
            raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        launcher.launch_service(Broken())
    assert launcher.services.services == []


def test_a_launcher_lives_until_it_is_stopped(backend, launcher):
    launcher.launch_service(Service())
    waited = ended(backend, launcher.wait)
    assert not waited.wait(0.05)
    launcher.stop()
    assert waited.wait(PATIENCE)


def test_a_stop_lets_threads_of_a_service_finish(backend, launcher):
    running, may_end, done = backend.event(), backend.event(), []

    class Worker(Service):
        def start(self):
            self.tg.add_thread(self.work)

        def work(self):
            running.set()
            may_end.wait(PATIENCE)
            done.append(1)

    launcher.launch_service(Worker())
    running.wait(PATIENCE)
    waited = ended(backend, launcher.wait)
    stopped = ended(backend, launcher.stop)
    backend.sleep(0)
    assert not stopped.is_set()
    may_end.set()
    assert stopped.wait(PATIENCE)
    assert waited.wait(PATIENCE)
    assert done == [1]


def test_a_stop_reaches_every_service_at_once(backend, launcher, caplog):
    may_end = backend.event()
    reached = []

    class Slow(Wild):
        def stop(self):
            may_end.wait(PATIENCE)

    class Broken(Wild):
        def stop(self):
            raise RuntimeError("cannot stop")

    class Last(Wild):
        def stop(self):
            reached.append(1)
            may_end.set()

    for service in (Slow(), Broken(), Last()):
        launcher.launch_service(service)
    assert ended(backend, launcher.stop).wait(PATIENCE / 2)
    assert reached == [1]
    assert "RuntimeError: cannot stop" in caplog.text


def test_a_second_stop_does_nothing(launcher):
    service = Wild()
    launcher.launch_service(service)
    launcher.stop()
    launcher.stop()
    assert service.calls == ["start", "stop graceful=False"]


def test_reset_reaches_every_service_even_if_one_fails(backend, caplog):
    class Broken(Wild):
        def reset(self):
            raise RuntimeError("cannot reset")

    services, last = Services(), Wild()
    services.add(Broken())
    services.add(last)
    services.reset()
    assert last.calls == ["start", "reset"]
    assert "RuntimeError: cannot reset" in caplog.text


def test_restart_leaves_sockets_alone(backend, launcher):
    periodic, api = Wild(), Wild()
    api.wants_socket = True
    launcher.launch_service(periodic)
    launcher.launch_service(api)
    waited = ended(backend, launcher.wait)
    launcher.restart()
    assert api.calls.count("reset") == 1
    assert not any(call.startswith("stop") for call in api.calls)
    assert [call for call in periodic.calls if call != "wait"] == ["start", "stop graceful=False", "reset", "start"]
    assert not waited.is_set()


def test_a_stop_during_a_restart_has_the_last_word(backend, launcher):
    stopping, may_end = backend.event(), backend.event()

    class Slow(Wild):
        def stop(self):
            stopping.set()
            may_end.wait(PATIENCE)

    service = Slow()
    launcher.launch_service(service)
    restarted = ended(backend, launcher.restart)
    stopping.wait(PATIENCE)
    stopped = ended(backend, launcher.stop)
    backend.sleep(0)
    may_end.set()
    assert restarted.wait(PATIENCE)
    assert stopped.wait(PATIENCE)
    assert service.calls.count("start") == 1


def test_a_service_base_must_be_complete():
    class Half(ServiceBase):
        def start(self):
            pass

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_what_a_service_says_of_itself_by_default():
    service = Service()
    assert (service.wants_socket, service.listeners, service.backdoor_port, service.announces_ready) == (
        False,
        (),
        None,
        False,
    )


def test_a_wsgi_service_without_a_socket_names_the_option(launcher):
    service = WSGIService(lambda _environ, _start_response: [])
    assert service.wants_socket
    with pytest.raises(ConfigError, match=r"^listen: "):
        launcher.launch_service(service)


class FakeServer:
    def __init__(self):
        self.calls = []

    def drain(self):
        self.calls.append("drain")

    def wait(self):
        self.calls.append("wait")


def test_a_wsgi_service_drains_its_server(monkeypatch, backend, launcher):
    app, listener, served, server = object(), object(), [], FakeServer()

    def serve(*args):
        served.append(args)
        return server

    monkeypatch.setattr(backend, "serve", serve)
    service = WSGIService(app, keepalive_timeout=3)
    service.listeners = (listener,)
    launcher.launch_service(service)
    assert served == [(app, (listener,), Terms(3, 30))]
    assert server.calls == []
    launcher.stop()
    launcher.wait()
    assert server.calls[0] == "drain"
    assert "wait" in server.calls


def test_only_the_first_ready_counts():
    readiness.ready()  # nobody listens: nothing happens
    said = []
    readiness.on_ready(lambda: said.append("ready"))
    readiness.ready()
    readiness.ready()
    assert said == ["ready"]
