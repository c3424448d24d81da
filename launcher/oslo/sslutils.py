"""TLS of oslo.service's WSGI server: names and signatures are its own."""

from __future__ import annotations

import copy
import os
import ssl
from typing import TYPE_CHECKING, Any

from launcher.oslo import _options

if TYPE_CHECKING:
    import socket

    from oslo_config import cfg

__all__ = ["config_section", "is_enabled", "list_opts", "register_opts", "wrap"]

config_section = "ssl"

_NAMES = {
    "tlsv1": "PROTOCOL_TLSv1",
    "tlsv1_1": "PROTOCOL_TLSv1_1",
    "tlsv1_2": "PROTOCOL_TLSv1_2",
    "sslv2": "PROTOCOL_SSLv2",
    "sslv3": "PROTOCOL_SSLv3",
    "sslv23": "PROTOCOL_SSLv23",
}


def list_opts() -> list[tuple[str, list[cfg.StrOpt]]]:
    """Return the options for oslo-config-generator."""
    return [(config_section, copy.deepcopy(_options.ssl_opts))]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options of group `ssl`; again is no harm."""
    conf.register_opts(_options.ssl_opts, config_section)


def is_enabled(conf: cfg.ConfigOpts) -> str | None:
    """Return something true if TLS is to be spoken.

    Raises `RuntimeError` if a file does not exist, or if there is a certificate without a key or a key without it.
    """
    register_opts(conf)
    for option in ("cert_file", "ca_file", "key_file"):
        path = conf.ssl[option]
        if path and not os.path.exists(path):  # noqa: PTH110 - what oslo.service calls, and its users mock
            raise RuntimeError(f"Unable to find {option} : {path}")
    cert_file: str | None = conf.ssl.cert_file
    key_file: str | None = conf.ssl.key_file
    if (cert_file or key_file) and not (cert_file and key_file):
        raise RuntimeError("[ssl] has only one of cert_file and key_file: TLS takes both")
    return cert_file or key_file


def wrap(conf: cfg.ConfigOpts, sock: socket.socket) -> ssl.SSLSocket:
    """Return a listening socket that speaks TLS.  Raises `RuntimeError` for a version that does not exist here."""
    return context(conf).wrap_socket(sock, server_side=True)


def context(conf: cfg.ConfigOpts) -> ssl.SSLContext:
    """Return what the options of group `ssl` ask for.  Raises as `wrap()` does."""
    register_opts(conf)
    options = conf.ssl
    made = ssl.SSLContext(_protocol(options.version))
    made.load_cert_chain(options.cert_file, options.key_file)
    if options.ca_file:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(options.ca_file)
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if options.ciphers:
        made.set_ciphers(options.ciphers)
    return made


def _protocol(version: str | None) -> Any:
    if not version:
        return ssl.PROTOCOL_TLS_SERVER
    protocol = getattr(ssl, _NAMES.get(version.lower(), ""), None)
    if protocol is None:
        raise RuntimeError(f"Invalid SSL version : {version}")
    return protocol
