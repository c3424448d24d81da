"""Certificates for tests, made by the command openssl."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What Python 3.13 and later want to see, too: RFC 5280.
CA_EXTENSION = "keyUsage=critical,keyCertSign,cRLSign"
EXTENSIONS = """
subjectAltName=DNS:localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
authorityKeyIdentifier=keyid
"""
CONFIGURATION = """
[ca]
default_ca = us
[us]
new_certs_dir = {folder}
database = {folder}/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in files."""

    cert: Path
    key: Path

    @property
    def options(self) -> dict[str, str]:
        return {"tls_cert_file": str(self.cert), "tls_key_file": str(self.key)}

    def replace_by(self, other: Pair) -> None:
        """Let these files have what those have."""
        self.cert.write_bytes(other.cert.read_bytes())
        self.key.write_bytes(other.key.read_bytes())


class Authority:
    """Signs certificates for localhost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cert, self._key = folder / "ca.pem", folder / "ca.key"
        self._make_key(self._key)
        self._configuration = folder / "ca.conf"
        self._configuration.write_text(CONFIGURATION.format(folder=folder))
        (folder / "index").touch()
        (folder / "extensions").write_text(EXTENSIONS)
        made = ("req", "-x509", "-key", self._key, "-subj", "/CN=ca", "-days", 2, "-addext", CA_EXTENSION)
        openssl(*made, "-out", self.cert)

    def issue(self, name: str, *, days: int = 2) -> Pair:
        """Make a certificate whose subject is `name`; with fewer than no days it has expired."""
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        self._make_key(pair.key)
        request = self._folder / f"{name}.csr"
        openssl("req", "-new", "-key", pair.key, "-subj", f"/CN={name}", "-out", request)
        signed_by = ("-config", self._configuration, "-cert", self.cert, "-keyfile", self._key)
        valid = ("-startdate", _date(min(days, 0) - 1), "-enddate", _date(days))
        extensions = ("-extfile", self._folder / "extensions")
        openssl("ca", "-batch", "-notext", *signed_by, *valid, *extensions, "-in", request, "-out", pair.cert)
        return pair

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """Return what trusts this authority, and shows a certificate if there is one."""
        context = ssl.create_default_context(cafile=str(self.cert))
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    @staticmethod
    def _make_key(path: Path) -> None:
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)


def _date(days: int) -> str:
    """Return the time so many days from now, as openssl reads it."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")


def subject(connection: ssl.SSLSocket) -> str:
    """Return the name in the certificate that the other side has shown."""
    names = dict(pair for rdn in connection.getpeercert()["subject"] for pair in rdn)
    return names["commonName"]


def shown(port: int, tls: ssl.SSLContext) -> str:
    """Return the name in the certificate that a new client is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        tls.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        return subject(client)
