"""oslo_service.wsgi.Server in the workers of an unmodified program, as PID 1; it is for green threads only."""

from __future__ import annotations

from signal import SIGHUP

import pytest

from tests.certificates import Authority, shown
from tests.functional.load import Load
from tests.functional.program import reserved_port
from tests.functional.waiting import wait_for

PROGRAM = """
from oslo_service import service, sslutils, wsgi


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % os.getpid()]


class Api(service.Service):  # as nova's and cinder's have it
    def __init__(self):
        super().__init__()
        self.server = wsgi.Server(conf, "api", app, host="127.0.0.1", port={port}, use_ssl=bool(conf.ssl.cert_file))

    def start(self):
        self.server.start()

    def stop(self, graceful=False):
        self.server.stop()

    def wait(self):
        self.server.wait()

    def reset(self):
        self.server.reset()


sslutils.register_opts(conf)
{before}
running = service.ProcessLauncher(conf, restart_method={method!r})
running.launch_service(Api(), workers=2)
sys.exit(running.wait())
"""


def overridden(pair):
    options = {"cert_file": pair.cert, "key_file": pair.key}
    return "\n".join(f"conf.set_override({name!r}, {str(path)!r}, 'ssl')" for name, path in options.items())


@pytest.fixture
def pid1():
    return True


def test_a_reload_fails_no_request_and_a_stop_ends_with_0(run):
    with reserved_port() as port:
        script = run(PROGRAM.format(port=port, method="reload", before=""))
        script.wait_for_errors("is ready", 2)
        before = script.workers()
        with Load(port) as load:
            load.wait_for_more()
            script.send(SIGHUP)
            wait_for(lambda: len(script.workers()) == 2 and not set(before) & set(script.workers()), "other workers")
            load.wait_for_more()
            assert load.failures == []
            assert script.stop() == 0
            wait_for(lambda: load.failures, "the end to be noticed")
        assert [each for each in load.failures if not each.startswith("ConnectionRefused")] == []


@pytest.mark.parametrize("method", ["reload", "mutate"])
def test_a_new_certificate_comes_with_hup_and_no_request_fails(run, tmp_path, method):
    authority = Authority(tmp_path)
    pair, other = authority.issue("first"), authority.issue("second")
    with reserved_port() as port:
        script = run(PROGRAM.format(port=port, method=method, before=overridden(pair)))
        script.wait_for_errors("is ready", 2)
        with Load(port, tls=authority.client()) as load:
            load.wait_for_more()
            pair.replace_by(other)
            script.send(SIGHUP)
            wait_for(lambda: {shown(port, authority.client()) for _ in range(10)} == {"second"}, "the new certificate")
            load.wait_for_more()
        assert load.failures == []
        assert script.stop() == 0
