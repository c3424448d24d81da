"""TLS of the WSGI servers, with real clients: good ones, slow ones, and those that speak something else."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress

import pytest

from tests.certificates import Authority, Pair, subject
from tests.unit.wsgi_worker import PATIENCE, Answer, Worker, ask, get, listening, seconds_until_closed

NEVER = 10 * PATIENCE


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("first")


@pytest.fixture
def tls(pair):
    """What a server speaks TLS with."""
    return {"cert_file": str(pair.cert), "key_file": str(pair.key), "handshake_timeout": NEVER}


@pytest.fixture(scope="module", params=["eventlet", "threading"])
def shared(request, tmp_path_factory, pair):
    """A server, and where it listens, for tests that leave it as it is."""
    tls = {"cert_file": str(pair.cert), "key_file": str(pair.key), "handshake_timeout": NEVER}
    with listening() as listener:
        worker = Worker(request.param, tmp_path_factory.mktemp("shared") / "log", [listener], tls=tls)
        worker.serve()
        yield worker, listener
        worker.close()


@pytest.fixture
def secure(connect, authority):
    """Make TLS clients."""
    clients = []

    def to(listener, context=None):
        context = context or authority.client()
        clients.append(context.wrap_socket(connect(listener), server_hostname="localhost", suppress_ragged_eofs=False))
        return clients[-1]

    yield to
    for client in clients:
        client.close()


def test_requests_on_a_kept_connection_and_what_the_environment_says(shared, secure):
    _, listener = shared
    client = secure(listener)
    assert [get(client).status for _ in range(3)] == [200] * 3
    environ = json.loads(get(client, "/environ").body)
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert environ["SERVER_PORT"] == str(listener.getsockname()[1])
    assert "SSL_CLIENT_CERT" not in environ


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_both_ways(shared, secure, authority, version):
    _, listener = shared
    context = authority.client()
    context.maximum_version = version
    client = secure(listener, context)
    body = bytes(range(256)) * (1 << 14)  # 4 MiB: more than the buffers of both ends hold
    ask(client, "/echo", f"Content-Length: {len(body)}", "Connection: close", method="POST")
    client.sendall(body)
    assert Answer(client).body == body
    assert client.recv(1) == b"", "the end is one that TLS has told"


def test_a_client_that_reads_slowly_gets_all_of_it(shared, secure):
    _, listener = shared
    client = secure(listener)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    size = 8 << 20  # more than what the kernel takes from the server
    ask(client, "/echo", f"Content-Length: {size}", method="POST")
    client.sendall(bytes(size))
    assert get(secure(listener)).status == 200
    assert Answer(client).body == bytes(size)


def test_the_last_request_and_the_end_in_one_piece(shared, authority, connect):
    _, listener = shared
    raw = connect(listener)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    while not shakes(client):
        raw.sendall(outgoing.read())
        incoming.write(raw.recv(65536))
    client.write(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    raw.sendall(outgoing.read())
    while received := raw.recv(65536):
        incoming.write(received)
    assert client.read().split()[1] == b"200"


def shakes(client):
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_slow_handshakes_keep_nobody_waiting(listener, start, tls, connect, secure):
    worker = start(listener, tls=tls, capacity=100 if start.backend == "eventlet" else 1)
    worker.serve()
    silent = [connect(listener) for _ in range(5)]
    silent[0].sendall(b"\x16\x03\x01")
    assert [get(secure(listener)).status for _ in range(3)] == [200] * 3


def test_a_handshake_has_its_time(listener, start, tls, connect, secure):
    worker = start(listener, tls={**tls, "handshake_timeout": 0.5})
    worker.serve()
    silent, slow = connect(listener), connect(listener)
    slow.sendall(b"\x16\x03\x01")
    assert 0.3 < seconds_until_closed(silent) < PATIENCE / 2
    assert seconds_until_closed(slow) < PATIENCE / 2
    assert get(secure(listener)).status == 200
    worker.wait_for_log("failed: timed out")
    check_quiet(worker)


def test_plain_http_is_told_so(shared, connect, secure):
    worker, listener = shared
    client = connect(listener)
    answer = get(client)
    assert (answer.status, answer.closes) == (400, True)
    assert b"HTTPS" in answer.body
    seconds_until_closed(client)
    sends_more = connect(listener)
    size = 16 << 20  # more than the buffers of both ends
    ask(sends_more, "/", f"Content-Length: {size}", method="POST")
    sends_more.sendall(bytes(size))
    assert Answer(sends_more).status == 400, "no reset overtakes it"
    assert get(secure(listener)).status == 200
    check_quiet(worker)


def test_what_is_no_tls_is_closed_without_a_sound(shared, connect, secure):
    worker, listener = shared
    for nonsense in (b"\0" * 100, b"\x16\x03\x01\0\5nonsense", b"SSH-2.0-x\r\n"):
        client = connect(listener)
        client.sendall(nonsense)
        client.shutdown(socket.SHUT_WR)
        while client.recv(4096):
            pass
    connect(listener).close()
    assert get(secure(listener)).status == 200
    worker.wait_for_log("TLS handshake with")
    check_quiet(worker)


def check_quiet(worker):
    log = worker.log.read_text()
    assert "Traceback" not in log
    loud = [line for line in log.splitlines() if not line.startswith("DEBUG")]
    assert loud == []


def test_a_connection_that_is_garbled_later_is_closed_without_a_sound(shared, secure, connect):
    worker, listener = shared
    client = secure(listener)
    get(client)
    socket.socket.sendall(client, b"\x17\x03\x03\0\5wrong")
    with suppress(OSError):
        assert client.recv(1) == b""
    assert get(secure(listener)).status == 200
    check_quiet(worker)


def test_clients_need_a_certificate_where_that_is_asked_for(listener, start, tls, pair, authority, secure, tmp_path):
    worker = start(listener, tls={**tls, "ca_file": str(authority.cert)})
    worker.serve()
    environ = json.loads(get(secure(listener, authority.client(pair)), "/environ").body)
    assert ssl.PEM_cert_to_DER_cert(environ["SSL_CLIENT_CERT"]) == ssl.PEM_cert_to_DER_cert(pair.cert.read_text())
    stranger = Authority(tmp_path).issue("stranger")
    for context, alert in ((authority.client(), "CERTIFICATE_REQUIRED"), (authority.client(stranger), "UNKNOWN_CA")):
        client = secure(listener, context)
        ask(client)  # with TLS 1.3 a client learns of the refusal only afterwards
        with pytest.raises(ssl.SSLError, match=alert):
            client.recv(1)
    assert get(secure(listener, authority.client(pair))).status == 200
    check_quiet(worker)


def test_a_version_that_is_too_old(listener, start, tls, authority, secure):
    worker = start(listener, tls={**tls, "minimum_version": "1.3"})
    worker.serve()
    context = authority.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        secure(listener, context)
    assert get(secure(listener)).status == 200
    check_quiet(worker)


def test_a_drain_answers_requests_and_ends_handshakes_that_are_under_way(
    listener, start, tls, authority, connect, secure
):
    worker = start(listener, tls=tls, keepalive=NEVER)
    worker.serve()
    busy, idle, late = secure(listener), secure(listener), connect(listener)
    get(idle)
    ask(busy, "/wait")
    worker.expect("waiting")
    queued = connect(listener)
    worker.drain()
    late, queued = (authority.client().wrap_socket(each, server_hostname="localhost") for each in (late, queued))
    for client in (idle, late, queued):
        with client:
            answer = get(client)
            assert (answer.status, answer.closes) == (200, True)
            assert client.recv(1) == b""
    worker.tell("open")
    answer = Answer(busy)
    assert (answer.status, answer.closes) == (200, True)
    worker.expect("done")


def test_who_has_ended_is_not_waited_for(listener, start, tls, secure):
    worker = start(listener, tls=tls, keepalive=NEVER)
    worker.serve()
    client = secure(listener)
    get(client)
    client.close()
    worker.drain()
    worker.expect("done")


def test_a_drain_waits_no_longer_for_a_handshake_than_its_time(listener, start, tls, connect):
    worker = start(listener, tls={**tls, "handshake_timeout": 0.5})
    worker.serve()
    connect(listener)
    worker.drain()
    worker.expect("done")


@pytest.mark.parametrize("asks_first", [True, False])
def test_an_idle_connection_is_closed_after_keepalive(listener, start, tls, asks_first, secure):
    worker = start(listener, tls=tls, keepalive=0.5)
    worker.serve()
    client = secure(listener)
    if asks_first:
        get(client)
    assert 0.2 < seconds_until_closed(client) < PATIENCE / 2


def test_a_renewed_certificate_is_for_new_connections(listener, start, tls, pair, authority, tmp_path, secure):
    files = Pair(tmp_path / "cert", tmp_path / "key")
    files.replace_by(pair)
    worker = start(listener, tls={**tls, "cert_file": str(files.cert), "key_file": str(files.key)})
    worker.serve()
    old = secure(listener)
    assert subject(old) == "first"
    files.replace_by(authority.issue("second"))
    worker.tell("renew")
    worker.expect("renewed")
    assert subject(secure(listener)) == "second"
    assert get(old).status == 200


def test_a_resumed_session(shared, authority, connect):
    _, listener = shared
    context = authority.client()
    first = context.wrap_socket(connect(listener), server_hostname="localhost")
    get(first)
    with context.wrap_socket(connect(listener), server_hostname="localhost", session=first.session) as again:
        assert again.session_reused
        assert get(again).status == 200
    first.close()


def test_a_unix_socket_stays_plain(tmp_path, start, tls, connect):
    with listening(socket.AF_UNIX, str(tmp_path / "socket")) as listener:
        worker = start(listener, tls=tls)
        worker.serve()
        answer = get(connect(listener), "/environ")
        assert json.loads(answer.body)["wsgi.url_scheme"] == "http"


def test_a_client_that_goes_away_is_no_failure(listener, start, tls, secure):
    worker = start(listener, tls=tls)
    worker.serve()
    client = secure(listener)
    ask(client, "/stream")
    assert client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    worker.tell("open")
    worker.drain()
    worker.expect("done")
    assert "ERROR" not in worker.log.read_text()
