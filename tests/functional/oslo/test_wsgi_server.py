"""oslo.service's WSGI server over ours: what the tests in its wheel cannot tell."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.certificates import Authority, Pair
from tests.unit.wsgi_worker import PATIENCE, ROOT

PREFACE = """
import eventlet; eventlet.monkey_patch()
import json, logging, os, socket, ssl, sys
from http.client import HTTPConnection
from oslo_config import cfg
from launcher.oslo import backend, sslutils, wsgi
from launcher.worker import backends

given = json.loads(sys.argv[1])
backend.init_backend(backend.BackendType.EVENTLET)
conf = cfg.ConfigOpts()
conf([], default_config_files=[])
wsgi.register_opts(conf)
sslutils.register_opts(conf)
for name, value in given.items():
    group, _, option = name.rpartition(".")
    conf.set_override(option, value, group or None)


def app(environ, start_response):
    if environ["PATH_INFO"] == "/error":
        raise RuntimeError("secret")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def make(**options):
    return wsgi.Server(conf, "test", app, host="127.0.0.1", **options)


def connect(server):
    return HTTPConnection("127.0.0.1", server.port, timeout=20)


def get(connection, path="/"):
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    return response.status, response.getheader("Connection"), body.decode()
"""


def run(code, **conf):
    command = [sys.executable, "-W", "ignore", "-c", PREFACE + code, json.dumps(conf)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_it_starts_again_on_its_socket_after_a_stop():
    code = """
server = make()
for _ in range(2):
    server.start()
    print(*get(connect(server)))
    server.stop()
    server.wait()
    print(server._server.dead)
    server.reset()
"""
    assert run(code) == ["200 None ok", "True"] * 2


def test_a_stop_answers_who_is_queued_and_who_is_idle():
    code = """
wsgi.LAST_REQUEST = 100.0
server = make()
server.start()
idle, queued = connect(server), connect(server)
print(*get(idle))
queued.connect()
server.stop()
print(*get(idle), *get(queued))
server.wait()
"""
    assert run(code) == ["200 None ok", "200 close ok 200 close ok"]


def test_a_stop_does_not_wait_for_client_socket_timeout():
    code = """
wsgi.LAST_REQUEST = 0.3
server = make()
server.start()
idle = connect(server)
print(*get(idle))
server.stop()
server.wait()
print(idle.sock.recv(1))
"""
    assert run(code) == ["200 None ok", "b''"]


def test_options_that_a_client_can_see():
    code = """
server = make()
server.start()
print(*get(connect(server)))
print("secret" in get(connect(server), "/error")[2])
with socket.create_connection(("127.0.0.1", server.port)) as slow:
    slow.sendall(b"GET / HT")
    print(slow.recv(12).decode())
"""
    said = run(code, wsgi_keep_alive=False, wsgi_server_debug=True, client_socket_timeout=1)
    assert said == ["200 close ok", "True", "HTTP/1.1 408"]


def test_requests_are_logged_in_the_form_and_place_that_were_asked_for():
    code = """
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
server = make(logger_name="mine")
server.start()
get(connect(server), "/path")
eventlet.sleep(0)
"""
    assert "mine: 200 GET /path HTTP/1.1" in run(code, wsgi_log_format="%(status_code)s %(request_line)s")


def test_a_protocol_of_the_caller():
    code = """
class Mine(eventlet.wsgi.HttpProtocol):
    def get_environ(self):
        print("mine")
        return super().get_environ()

server = make(protocol=Mine)
server.start()
print(*get(connect(server)))
server.stop()
server.wait()
"""
    assert run(code) == ["mine", "200 None ok"]


def test_arguments_that_make_no_sense():
    code = """
for wrong in ({"backlog": 0}, {"socket_family": socket.AF_NETLINK}):
    try:
        make(**wrong)
    except (wsgi.InvalidInput, ValueError) as error:
        print(f"{type(error).__name__}: {error}")
"""
    invalid, unsupported = run(code)
    assert invalid == "InvalidInput: The backlog must be more than 0"
    assert unsupported.startswith("ValueError: Unsupported socket family: ")


def test_a_reset_renews_the_certificate_or_keeps_it(tmp_path):
    authority = Authority(tmp_path)
    first, second = authority.issue("first"), authority.issue("second")
    files = Pair(tmp_path / "cert", tmp_path / "key")
    files.replace_by(first)
    code = f"""
import shutil
from tests.certificates import subject

def shown():
    trust = ssl.create_default_context(cafile={str(authority.cert)!r})
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        return subject(trust.wrap_socket(plain, server_hostname="localhost"))

server = make(use_ssl=True)
server.start()
print(shown())
shutil.copy({str(second.cert)!r}, conf.ssl.cert_file)
server.reset()
print(shown())
shutil.copy({str(second.key)!r}, conf.ssl.key_file)
server.reset()
print(shown())
server.stop()
server.wait()
"""
    options = {"ssl.cert_file": str(files.cert), "ssl.key_file": str(files.key)}
    assert run(code, **options) == ["first", "first", "second"]


def test_a_router():
    code = """
import routes
mapper = routes.Mapper()
mapper.connect(None, "/here/{path_info:.*}", controller=app)
router = wsgi.Router(mapper)
for path in ("/here/x", "/there"):
    print(wsgi.Request.blank(path).get_response(router).status_int)
"""
    assert run(code) == ["200", "404"]
