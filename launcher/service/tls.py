"""Certificates: files that are read, tried, and read again.

Guarantees: what a `TLS` has loaded works.  It has done a handshake with itself, so a key of another certificate or a
list of ciphers that does not fit the key is found here, and never by a client.  What is wrong with a file is one line.
A failed renewal changes nothing.

It is made before the workers are forked, by whoever may read the key, and a worker that is forked later needs no file.
"""

from __future__ import annotations

import logging
import re
import ssl
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("launcher.wsgi")

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ROUNDS = 4  # of a handshake with both ends here; it takes two
_CERTIFICATE = re.compile(rb"^-----BEGIN (TRUSTED )?CERTIFICATE-----", re.MULTILINE)
_KEY = re.compile(rb"^-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----", re.MULTILINE)
_ENCRYPTED_KEY = re.compile(rb"^(-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED)", re.MULTILINE)


@dataclass(slots=True)
class TLS:
    """What a `WSGIService` speaks TLS with.

    `cert_file` has the certificate and those between it and a root, in PEM; `key_file` its private key, which may be
    in `cert_file` too.  With `ca_file` only clients are served that have a certificate which one of those in it has
    signed.  `minimum_version` is 1.2 or 1.3, `ciphers` OpenSSL's list for 1.2; a client has `handshake_timeout`
    seconds.  `name` says of a parameter and its value how its user calls them.  Raises `ConfigError`.
    """

    cert_file: str
    key_file: str = ""
    _: KW_ONLY
    ca_file: str = ""
    minimum_version: str = "1.2"
    ciphers: str = ""
    handshake_timeout: float = 5.0
    name: Callable[[str, str], str] = "{} = {}".format
    context: ssl.SSLContext = field(init=False)
    """Loaded from the files."""
    notes: tuple[str, ...] = field(init=False)
    """What a person should know of them."""

    def __post_init__(self) -> None:
        self.context, self.notes = self._load()

    def renew(self) -> None:
        """Read the files again, for connections to come; if they cannot be taken say so, and change nothing."""
        try:
            self.context, self.notes = self._load()
        except ConfigError as error:
            logger.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the line says it all
        for note in self.notes:
            logger.warning("%s", note)

    def _load(self) -> tuple[ssl.SSLContext, tuple[str, ...]]:
        """Return the context, and what a person should know of it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.minimum_version not in VERSIONS:
            raise self._error("minimum_version", f"must be one of: {', '.join(VERSIONS)}")
        context.minimum_version = VERSIONS[self.minimum_version]
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        self._take_ciphers(context)
        self._take_certificate(context)
        notes = self._try(context)
        if self.ca_file:
            self._take_authorities(context)
        return context, notes

    def _take_ciphers(self, context: ssl.SSLContext) -> None:
        if self.ciphers:
            try:
                context.set_ciphers(self.ciphers)
            except ssl.SSLError:
                raise self._error("ciphers", "OpenSSL knows none of them") from None

    def _take_certificate(self, context: ssl.SSLContext) -> None:
        chain = self._read("cert_file")
        if not _CERTIFICATE.search(chain):
            raise self._error("cert_file", "no certificate in PEM form is in it")
        where = "key_file" if self.key_file else "cert_file"
        key = self._read(where)
        if _ENCRYPTED_KEY.search(key):
            raise self._error(where, "the private key is encrypted, and nobody is there to type its passphrase")
        if not _KEY.search(key):
            hint = "" if self.key_file else "; key_file names another file"
            raise self._error(where, f"no private key in PEM form is in it{hint}")
        try:
            context.load_cert_chain(self.cert_file, self.key_file or None, password=_nobody)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                owner = self.name("cert_file", self.cert_file)
                raise self._error(where, f"this private key belongs to another certificate than {owner}") from None
            raise self._error("cert_file", f"OpenSSL cannot use it or its private key: {_reason(error)}") from None

    def _take_authorities(self, context: ssl.SSLContext) -> None:
        if not _CERTIFICATE.search(self._read("ca_file")):
            raise self._error("ca_file", "no certificate in PEM form is in it")
        try:
            context.load_verify_locations(self.ca_file)
        except ssl.SSLError as error:
            raise self._error("ca_file", f"OpenSSL cannot use it: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED

    def _try(self, context: ssl.SSLContext) -> tuple[str, ...]:
        """Be a client of ourselves that trusts this very certificate; return what it minds nevertheless."""
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        client.load_verify_locations(self.cert_file)
        if self.ciphers and self.minimum_version == "1.2":
            client.set_ciphers(self.ciphers)
            client.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            _shake_hands(context, client)
        except ssl.SSLCertVerificationError as error:
            return (f"{self.name('cert_file', self.cert_file)}: clients will mind it: {error.verify_message}",)
        except ssl.SSLError as error:
            option = "ciphers" if self.ciphers else "cert_file"
            raise self._error(option, f"no connection can be made with this certificate: {_reason(error)}") from None
        return ()

    def _read(self, parameter: str) -> bytes:
        try:
            with open(getattr(self, parameter), "rb") as file:  # noqa: PTH123 - as OpenSSL will
                return file.read()
        except OSError as error:
            raise self._error(parameter, f"cannot read it: {error.strerror}") from None

    def _error(self, parameter: str, problem: str) -> ConfigError:
        return ConfigError(f"{self.name(parameter, getattr(self, parameter))}: {problem}")


def _nobody() -> str:
    """Be asked for a passphrase: OpenSSL would else ask at the terminal, for ever."""
    return ""


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


def _shake_hands(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for _ in range(ROUNDS):
        for each in (client, server):
            with suppress(ssl.SSLWantReadError):
                each.do_handshake()
