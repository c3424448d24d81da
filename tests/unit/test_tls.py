"""Certificates: what works is loaded, what does not is one line."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest

from launcher.errors import ConfigError
from launcher.service.tls import TLS
from tests.certificates import Authority, openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("one")


@pytest.fixture(scope="module")
def other(authority):
    return authority.issue("other")


def refusal(*args, **options):
    with pytest.raises(ConfigError) as caught:
        TLS(*map(str, args), **options)
    return str(caught.value)


def test_a_certificate_with_its_key(pair):
    assert TLS(str(pair.cert), str(pair.key)).notes == ()


def test_a_key_in_the_file_of_the_certificate(tmp_path, pair):
    both = tmp_path / "both"
    both.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    assert TLS(str(both)).notes == ()


def test_files_that_cannot_be_read(tmp_path, pair):
    gone = tmp_path / "gone"
    assert refusal(gone, pair.key) == f"cert_file = {gone}: cannot read it: No such file or directory"
    assert refusal(pair.cert, gone) == f"key_file = {gone}: cannot read it: No such file or directory"
    assert refusal(pair.cert, pair.key, ca_file=str(gone)).startswith(f"ca_file = {gone}: cannot read it: ")
    assert refusal(tmp_path, pair.key) == f"cert_file = {tmp_path}: cannot read it: Is a directory"


def test_files_that_hold_something_else(tmp_path, pair):
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.touch()
    broken.write_text("-----BEGIN CERTIFICATE-----\nTm8=\n-----END CERTIFICATE-----\n")
    assert refusal(empty, pair.key) == f"cert_file = {empty}: no certificate in PEM form is in it"
    assert refusal(pair.cert, empty) == f"key_file = {empty}: no private key in PEM form is in it"
    assert refusal(pair.cert).endswith("no private key in PEM form is in it; key_file names another file")
    assert refusal(pair.cert, pair.key, ca_file=str(empty)) == f"ca_file = {empty}: no certificate in PEM form is in it"
    assert refusal(broken, pair.key).startswith(f"cert_file = {broken}: OpenSSL cannot use it or its private key: ")
    assert refusal(pair.cert, pair.key, ca_file=str(broken)).startswith(f"ca_file = {broken}: OpenSSL cannot use it: ")


def test_a_key_of_another_certificate(pair, other):
    problem = refusal(pair.cert, other.key)
    assert (
        problem
        == f"key_file = {other.key}: this private key belongs to another certificate than cert_file = {pair.cert}"
    )


@pytest.mark.parametrize("form", [(), ("-traditional",)])
def test_a_key_that_is_encrypted_is_not_asked_for_at_the_terminal(tmp_path, pair, form):
    locked = tmp_path / "locked"
    openssl("pkey", "-in", pair.key, "-aes128", "-passout", "pass:secret", "-out", locked, *form)
    assert "the private key is encrypted" in refusal(pair.cert, locked)


def test_ciphers_that_openssl_does_not_know(pair):
    assert refusal(pair.cert, pair.key, ciphers="NONSENSE") == "ciphers = NONSENSE: OpenSSL knows none of them"


def test_ciphers_that_do_not_fit_the_key(pair):
    problem = refusal(pair.cert, pair.key, ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    assert re.match(
        "ciphers = ECDHE-RSA-.*: no connection can be made with this certificate: no shared cipher", problem
    )


def test_a_version_that_is_not_offered(pair):
    assert refusal(pair.cert, pair.key, minimum_version="1.0") == "minimum_version = 1.0: must be one of: 1.2, 1.3"


def test_a_certificate_that_has_expired_is_taken_and_told_of(authority):
    old = authority.issue("old", days=-1)
    assert TLS(str(old.cert), str(old.key)).notes == (
        f"cert_file = {old.cert}: clients will mind it: certificate has expired",
    )


def test_a_renewal_takes_what_is_there_now_and_keeps_what_it_has_if_that_is_broken(tmp_path, pair, other, caplog):
    cert, key = tmp_path / "cert", tmp_path / "key"
    mine = type(pair)(cert, key)
    mine.replace_by(pair)
    tls = TLS(str(cert), str(key))
    first = tls.context
    mine.replace_by(other)
    tls.renew()
    second = tls.context
    assert second is not first
    assert caplog.records == []
    key.write_text("")
    tls.renew()
    assert tls.context is second
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"the certificate stays as it was: key_file = {key}: no private key")


def test_it_can_be_made_where_eventlet_has_patched_ssl(pair):
    code = "import sys, eventlet; eventlet.monkey_patch(); from launcher.service.tls import TLS; TLS(*sys.argv[1:])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, pair.cert, pair.key], check=True, timeout=60)


def test_who_speaks_no_tls_does_not_import_it():
    code = (
        "import sys, launcher.service.wsgi, launcher.worker.backends.threading_wsgi, launcher.config;"
        "print(*(name for name in sys.modules if name.endswith(('ssl', 'tls'))))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert said.stdout.split() == []
