"""oslo.service's options: names, types and defaults are its own.

Some programs import this module, private as it is.  What oslo.service has marked for removal is not marked here.
"""

from __future__ import annotations

from oslo_config import cfg

eventlet_backdoor_opts = [
    cfg.StrOpt(
        "backdoor_port",
        help="TCP port on the loopback address where each process offers a debugging shell: a number, START:END for "
        "the first free one in a range, or 0 for any. The log says which it is.",
    ),
    cfg.StrOpt(
        "backdoor_socket",
        help="Path of a Unix socket where a process offers a debugging shell, instead of backdoor_port; {pid} becomes "
        "the process's PID.",
    ),
]

periodic_opts = [
    cfg.BoolOpt(
        "run_external_periodic_tasks",
        default=True,
        help="Whether periodic tasks that another process could run are run in this one.",
    ),
]

service_opts = [
    cfg.BoolOpt("log_options", default=True, help="Whether all options are logged at DEBUG when a service is started."),
    cfg.IntOpt(
        "graceful_shutdown_timeout",
        default=60,
        help="Seconds from TERM until a process that has not ended is killed. 0 means no limit.",
    ),
]

wsgi_opts = [
    cfg.StrOpt("api_paste_config", default="api-paste.ini", help="The paste.deploy file of the API service."),
    cfg.StrOpt(
        "wsgi_log_format",
        default='%(client_ip)s "%(request_line)s" status: %(status_code)s  len: %(body_length)s '
        "time: %(wall_seconds).7f",
        help="How a request is logged; it may have client_ip, date_time, request_line, status_code, body_length and "
        "wall_seconds.",
    ),
    cfg.IntOpt("tcp_keepidle", default=600, help="TCP_KEEPIDLE of client connections, in seconds."),
    cfg.IntOpt("wsgi_default_pool_size", default=100, help="How many requests a WSGI server answers at a time."),
    cfg.IntOpt("max_header_line", default=16384, help="The longest header line that is accepted, in bytes."),
    cfg.BoolOpt("wsgi_keep_alive", default=True, help="Whether a connection is kept open after a response."),
    cfg.IntOpt(
        "client_socket_timeout",
        default=900,
        help="Seconds after which an idle client connection is closed. 0 means never.",
    ),
    cfg.BoolOpt("wsgi_server_debug", default=False, help="Whether a client is sent the traceback of an error 500."),
]

ssl_opts = [
    cfg.StrOpt("ca_file", help="CA certificates; with them clients have to show a certificate."),
    cfg.StrOpt("cert_file", help="The server's certificate; with it connections are encrypted."),
    cfg.StrOpt("key_file", help="The private key of that certificate."),
    cfg.StrOpt("version", help="The TLS version to speak; if unset, every one that is safe."),
    cfg.StrOpt("ciphers", help="The ciphers that are allowed, in OpenSSL's notation."),
]
