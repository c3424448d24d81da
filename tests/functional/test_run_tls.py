"""TLS of WSGI services: certificates that change without a failed request, or stay as they are."""

from __future__ import annotations

import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Authority, Pair, shown
from tests.functional import proc
from tests.functional.cases import WEB, both_backends, every_way
from tests.functional.load import Load
from tests.functional.program import launcher
from tests.functional.test_run_bad_input import refused
from tests.functional.test_run_environment import as_root
from tests.functional.test_run_stop import refuses

if TYPE_CHECKING:
    from pathlib import Path

    from tests.functional.program import Program

LONG = 600  # seconds of grace that no test waits for


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs the certificates."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def first(authority: Authority) -> Pair:
    """The certificate to begin with."""
    return authority.issue("first")


@pytest.fixture(scope="module")
def second(authority: Authority) -> Pair:
    """The one after it."""
    return authority.issue("second")


@pytest.fixture
def pair(tmp_path: Path, first: Pair) -> Pair:
    """The files that the program has."""
    files = Pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    files.replace_by(first)
    return files


@every_way
def test_it_speaks_tls_and_only_the_application_s_processes_load_openssl(
    program: Program, authority: Authority, pair: Pair
) -> None:
    program.serve(WEB, services="app:web=2", **pair.options)
    assert program.get(tls=authority.client())[0] == 200
    assert program.get()[0] == 400
    (worker, *_) = program.workers()
    assert "libssl" in proc.maps(program.outer(worker))
    assert "libssl" not in proc.maps(program.pid)
    assert program.stop() == 0
    assert "Traceback" not in program.output()


@both_backends
def test_a_new_certificate_comes_with_a_reload_and_no_request_fails(
    program: Program, authority: Authority, pair: Pair, second: Pair
) -> None:
    tls = authority.client()
    program.serve(WEB, services="app:web=2", **pair.options)
    before = program.workers()
    with Load(program.port, tls=tls) as load:
        load.wait_for_more()
        assert shown(program.port, tls) == "first"
        pair.replace_by(second)
        program.signal(signal.SIGHUP)
        after = program.wait_replaced(before)
        load.wait_for_more()
        assert {shown(program.port, tls) for _ in range(10)} == {"second"}
    assert load.failures == []
    pair.key.unlink()
    program.signal(signal.SIGKILL, after[0])
    program.wait_replaced(after[:1])
    assert {shown(program.port, tls) for _ in range(10)} == {"second"}, "a generation keeps what it was loaded with"
    assert program.stop() == 0


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("gone", r"tls_cert_file = \S*cert\.pem \(\S*launcher\.conf:\d\): cannot read it: No such file or directory"),
        ("cut", r"tls_cert_file = .*: OpenSSL cannot use it or its private key"),
        ("mixed", r"tls_key_file = .*: this private key belongs to another certificate than tls_cert_file = "),
    ],
    ids=["gone", "cut", "mixed"],
)
def test_a_broken_certificate_changes_nothing(
    program: Program, authority: Authority, pair: Pair, second: Pair, broken: str, reason: str
) -> None:
    tls = authority.client()
    program.serve(WEB, services="app:web=2", **pair.options)
    before = program.workers()
    if broken == "gone":
        pair.cert.unlink()
    elif broken == "cut":
        pair.cert.write_text(pair.cert.read_text()[:200])
    else:
        pair.cert.write_bytes(second.cert.read_bytes())
    with Load(program.port, tls=tls) as load:
        program.signal(signal.SIGHUP)
        program.wait_for_output(f"ERROR .*reload refused: {reason}")
        load.wait_for_more()
    assert load.failures == []
    assert program.workers() == before
    assert shown(program.port, tls) == "first"
    assert program.stop() == 0


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"tls_cert_file": "/none"}, r"tls_cert_file = /none \(CONF:\d\): cannot read it: No such file or directory"),
        ({"tls_cert_file": "cert.pem"}, r"tls_cert_file = cert\.pem \(CONF:\d\): must be an absolute path, or nothing"),
        (
            {"tls_key_file": "/none"},
            r"tls_key_file = /none \(CONF:\d\): there is no certificate; set tls_cert_file too",
        ),
        ({"tls_minimum_version": "1.1"}, r"tls_minimum_version = 1\.1 \(CONF:\d\): must be one of: 1\.2, 1\.3"),
        ({"tls_handshake_timeout": "8"}, r"tls_handshake_timeout = 8 \(CONF:\d\): must be less than graceful.*"),
    ],
)
def test_bad_input(program: Program, options: dict[str, str], pattern: str) -> None:
    code, error = refused(program, **options)
    assert code == 78
    assert re.fullmatch(pattern.replace("CONF", str(program.conf)), error)


def test_an_expired_certificate_is_served_and_told_of(program: Program, authority: Authority) -> None:
    old = authority.issue("old", days=-1)
    program.serve(WEB, services="app:web=1", **old.options)
    program.wait_for_output(r"tls_cert_file = \S*old\.pem \(\S+:\d\): clients will mind it: certificate has expired")
    ended = launcher(program, "check", "--config-file", str(program.conf))
    assert ended.returncode == 0
    assert "clients will mind it" in ended.stdout
    assert program.stop() == 0


@both_backends
def test_a_reset_takes_the_new_certificate_in_place(
    program: Program, authority: Authority, pair: Pair, second: Pair
) -> None:
    tls = authority.client()
    program.serve(WEB, services="app:web=2", reload_method="reset", **pair.options)
    before = program.workers()
    with Load(program.port, tls=tls) as load:
        load.wait_for_more()
        pair.replace_by(second)
        program.signal(signal.SIGHUP)
        program.wait_for(lambda: {shown(program.port, tls) for _ in range(10)} == {"second"}, "the new certificate")
    assert load.failures == []
    program.signal(signal.SIGKILL, before[0])
    before = [program.wait_replaced(before[:1])[0], before[1]]
    assert {shown(program.port, tls) for _ in range(10)} == {"second"}, "though the mold has the first"
    with Load(program.port, tls=tls) as load:
        pair.key.write_text("")
        program.signal(signal.SIGHUP)
        program.wait_for(lambda: program.output().count("the certificate stays as it was") == 2, "two refusals")
        assert {shown(program.port, tls) for _ in range(10)} == {"second"}
    assert load.failures == []
    assert program.workers() == before
    assert program.stop() == 0


@both_backends
def test_a_stop_finishes_requests_and_handshakes(program: Program, authority: Authority, pair: Pair) -> None:
    tls = authority.client()
    program.serve(
        WEB, services="app:web=1", graceful_shutdown_timeout=LONG, tls_handshake_timeout=LONG / 2, **pair.options
    )
    late = socket.create_connection(("127.0.0.1", program.port), timeout=30)
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(program.get, "/slow", tls) for _ in range(4)]
        program.wait_for_notes("begun", 4)
        program.signal(signal.SIGTERM)
        program.wait_for(lambda: refuses(program), "refusal of new connections")
        with tls.wrap_socket(late, server_hostname="localhost") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in answer.lower()
        program.open_gate()
        assert [each.result()[0] for each in slow] == [200] * 4
    assert program.wait_ended() == 0


DROPS_ROOT = """
def drop(conf):
    os.setgid(65534)
    os.setuid(65534)
"""


@as_root
def test_workers_of_another_user_need_not_read_the_key(program: Program, authority: Authority, pair: Pair) -> None:
    pair.key.chmod(0o600)
    program.serve(WEB + DROPS_ROOT, services="app:web=2", post_fork="app:drop", **pair.options)
    tls = authority.client()
    before = program.workers()
    program.signal(signal.SIGKILL, before[0])
    program.wait_replaced(before[:1])
    assert program.get(tls=tls)[0] == 200
    assert program.stop() == 0
