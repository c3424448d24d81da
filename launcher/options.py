"""Every option of group `[launcher]`: name, type, unit, default, help.

This one table feeds the files, the environment, the command line, the generated sample and `launcher check`, so an
option cannot exist in some of them only.  Durations are seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from oslo_config import cfg

from launcher.option_types import (
    AbsolutePath,
    BackdoorPath,
    Bytes,
    Choice,
    Fraction,
    Function,
    Items,
    Lines,
    Seconds,
    Text,
    Whole,
    Workers,
)
from launcher.worker.backends import DEFAULT, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.option_types import Constrained

GROUP = "launcher"
MOST = 10_000  # of whatever is counted small
MOST_REQUESTS = 10**12


def _option(name: str, kind: Constrained, default: object, *help_text: str) -> cfg.Opt:
    return cfg.Opt(name, type=kind, default=default, help=" ".join(help_text))


OPTIONS: tuple[cfg.Opt, ...] = (
    _option(
        "services",
        Items(),
        [],
        "What to run: MODULE:ATTR or MODULE:ATTR=WORKERS, several separated by commas.",
        "WORKERS is what the option workers takes.",
        "ATTR is a service class, a factory taking the configuration, or a WSGI callable;",
        "its last part names the service. On the command line the targets themselves are enough.",
    ),
    _option(
        "command",
        Lines(),
        [],
        "Programs to run as services: NAME:PROGRAM ARGS... or NAME=WORKERS:PROGRAM ARGS..., one a line.",
        "The words are split as a shell would, but there is no shell. {fd} becomes the number of the listening socket,",
        "3, and {worker} that of the worker, from 0. On the command line, --command may be given several times.",
    ),
    _option(
        "workers",
        Workers(),
        1,
        "How many workers each service has whose target does not say so itself.",
        "MIN..MAX is as many as the load needs. auto is the least of the CPUs that the container may run on, its CPU",
        "quota rounded up, and what its memory limit holds of 64 MiB each, or of max_worker_memory if that is more.",
    ),
    _option(
        "listen",
        Items(),
        ["0.0.0.0:8080"],
        "Addresses to serve on, [SERVICE=]ADDRESS, several separated by commas.",
        "ADDRESS is HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH, or fd://NUMBER or fd://NAME for a socket that was passed",
        "to us as systemd does it (LISTEN_FDS, LISTEN_FDNAMES); port 0 is any free port,",
        "and an IPv6 address takes IPv6 clients only. A name stands for its first IPv4 address at the start or reload.",
        "Without SERVICE= it goes to the only service that wants a socket.",
    ),
    _option(
        "ready",
        Items(),
        ["1"],
        "When a command is ready: [SERVICE=]SECONDS after its start, if it has not ended by then,",
        "or [SERVICE=]notify, when it says so (sd_notify, NOTIFY_SOCKET); several separated by commas.",
        "Without SERVICE= it holds for all commands that have none of their own.",
    ),
    _option(
        "restart",
        Items(),
        ["always"],
        "Whether a worker that ends by itself is replaced: [SERVICE=]always, on-failure (not after exit code 0)",
        "or never; several separated by commas. Without SERVICE= it holds for all that have none of their own.",
        "When nothing is left to run, the launcher ends with the exit code of the last that failed, else with 0.",
    ),
    _option(
        "backend",
        Choice(**{name: kind.summary for name, kind in KINDS.items()}),
        DEFAULT,
        "The concurrency library that workers run on.",
    ),
    _option(
        "reload_method",
        Choice(
            roll="replace the workers one by one, with new code and configuration",
            reset="keep the workers and call reset() of their services",
        ),
        "roll",
        "What HUP does.",
    ),
    _option(
        "graceful_shutdown_timeout",
        Seconds(zero=True),
        8.0,
        "Seconds from TERM until a worker that has not ended is killed. 0 means no limit.",
        "The default fits into the 10 s of docker stop.",
    ),
    _option(
        "drain_delay",
        Seconds(zero=True),
        0.0,
        "Seconds for which the workers go on serving after the launcher was told to stop,",
        "so that load balancers catch up.",
    ),
    _option(
        "startup_timeout",
        Seconds(zero=False),
        60.0,
        "Seconds that the application may take to load, and a worker to become ready.",
    ),
    _option(
        "liveness_timeout",
        Seconds(zero=True),
        0.0,
        "Seconds that a ready worker may be busy without yielding, or stopped, until it is killed and replaced,",
        "its stacks in the log. Time without CPU does not count. 0 means that nobody looks.",
    ),
    _option(
        "backoff_min",
        Seconds(zero=False),
        0.5,
        "Seconds before the second restart in a row of a service that fails; doubles with each further one.",
    ),
    _option("backoff_max", Seconds(zero=False), 30.0, "Seconds that a restart is delayed at most."),
    _option(
        "crash_loop_threshold",
        Whole(1, MOST),
        5,
        "So many failures in a row while nothing of the service is ready are a crash loop:",
        "of one worker's slot, or of the whole service for longer than crash_loop_window.",
    ),
    _option(
        "crash_loop_window",
        Seconds(zero=True),
        10.0,
        "Seconds after which a ready worker counts as healthy: its end begins a new row of failures.",
    ),
    _option(
        "on_crash_loop",
        Choice(
            exit="end the launcher with the worker's exit code",
            backoff="try again for ever, every backoff_max seconds",
        ),
        "exit",
        "What a crash loop leads to.",
    ),
    _option(
        "max_worker_lifetime",
        Seconds(zero=True),
        0.0,
        "Seconds after which a worker is replaced by a fresh one, which is ready before the old one stops.",
        "0 means never.",
    ),
    _option(
        "max_requests",
        Whole(0, MOST_REQUESTS),
        0,
        "Requests after which a worker is replaced in the same way; a service that is no WSGI application counts",
        "by calling launcher.served(). 0 means never.",
    ),
    _option(
        "max_worker_memory",
        Bytes(),
        0,
        "Bytes of memory at which a worker is replaced in the same way, with K, M or G for powers of 1024.",
        "What it shares with others counts in parts, where the kernel tells (PSS). 0 means never.",
    ),
    _option(
        "limit_jitter",
        Fraction(),
        0.1,
        "How much lower, at random, each of these three limits may be for a worker, as a part of it,",
        "so that not all workers are replaced at once.",
    ),
    _option(
        "remold_after",
        Seconds(zero=True),
        0.0,
        "Seconds that the first worker of a service must have served until a copy of it becomes the process that all",
        "later workers are forked from, so that they share what it has loaded. Once a generation. 0 means never.",
    ),
    _option(
        "keepalive_timeout",
        Seconds(zero=False),
        5.0,
        "Seconds for which an idle HTTP keep-alive connection is kept open. Must be less than",
        "graceful_shutdown_timeout; where it is not set, it is half of that if that is 5 or less.",
    ),
    _option(
        "request_timeout",
        Seconds(zero=True),
        30.0,
        "Seconds for which an HTTP request may be waited for from its first byte to its last; every 500 bytes",
        "of it win back one of them, and once a stop has begun keepalive_timeout takes its place. 0 means no limit.",
    ),
    _option(
        "tls_cert_file",
        AbsolutePath(),
        "",
        "PEM file with the certificate of the WSGI services, and those between it and a root. With it they speak",
        "TLS on all addresses but Unix sockets. HUP reads it again.",
    ),
    _option("tls_key_file", AbsolutePath(), "", "PEM file with its private key. If empty, it is in tls_cert_file."),
    _option(
        "tls_ca_file",
        AbsolutePath(),
        "",
        "PEM file with certificates of authorities. With it, clients must have a certificate that one of them signed.",
    ),
    _option(
        "tls_minimum_version",
        Choice(**{"1.2": "and 1.3", "1.3": "alone"}),
        "1.2",
        "The oldest version of TLS that is spoken.",
    ),
    _option("tls_ciphers", Text(), "", "OpenSSL's list of ciphers for TLS 1.2. If empty, those that Python chooses."),
    _option(
        "tls_handshake_timeout",
        Seconds(zero=False),
        5.0,
        "Seconds that a client may take for the TLS handshake. Must be less than graceful_shutdown_timeout;",
        "where it is not set, it is half of that if that is 5 or less.",
    ),
    _option(
        "pre_start",
        Function(),
        "",
        "Hook: MODULE:ATTR, called once, before any worker, in a process of its own: migrations.",
        "If it fails, so does the start.",
    ),
    _option(
        "pre_start_timeout",
        Seconds(zero=True),
        0.0,
        "Seconds that pre_start may take, beside startup_timeout. 0 means no limit.",
    ),
    _option(
        "preload",
        Function(),
        "",
        "Hook: MODULE:ATTR, called once a generation, in the process that all workers are forked from.",
    ),
    _option(
        "post_fork",
        Function(),
        "",
        "Hook: MODULE:ATTR, called in each worker, before its service is made.",
    ),
    _option(
        "pre_stop",
        Function(),
        "",
        "Hook: MODULE:ATTR, called once when a stop begins, in a process of its own;",
        "the workers go on serving until it has ended.",
    ),
    _option(
        "pre_stop_timeout",
        Seconds(zero=False),
        5.0,
        "Seconds that pre_stop may take.",
    ),
    _option(
        "worker_exit",
        Function(),
        "",
        "Hook: MODULE:ATTR, called after a worker has ended, in a process of its own.",
    ),
    _option(
        "runtime_dir",
        AbsolutePath(),
        "",
        "Directory for the launcher's own sockets. If empty, the launcher finds a writable one.",
    ),
    _option(
        "backdoor_socket",
        BackdoorPath(),
        "",
        "Path of a Unix socket at which root and the worker's own user get a Python shell in a running worker.",
        "{pid} becomes the worker's PID, {worker} its number from 0, {service} the name of its service;",
        "a folder that is not there is made. If empty, there is none.",
    ),
    _option("log_format", Choice(console="for people", json="for machines"), "console", "The form of log lines."),
    _option(
        "log_level",
        Choice(
            debug="every decision",
            info="what happens to workers",
            warning="what went wrong and was mended",
            error="what was not",
        ),
        "info",
        "The least severe messages that the launcher logs.",
    ),
    _option(
        "termination_log",
        AbsolutePath(),
        "/dev/termination-log",
        "File that takes the reason of an abnormal end, if it can be written; Kubernetes shows it.",
        "If empty, none is written.",
    ),
)
BY_NAME: dict[str, cfg.Opt] = {option.name: option for option in OPTIONS}


def allowed(option: cfg.Opt) -> str:
    """Return what `option` accepts, in words that follow `must be`."""
    return cast("Constrained", option.type).allowed


def joined(option: cfg.Opt, texts: Sequence[str]) -> str:
    """Return the value of an option that was given several times: all of it, or the last."""
    return option.type.joint.join(texts) if isinstance(option.type, Items) else texts[-1]


def several(option: cfg.Opt) -> str:
    """Return how several values are written, in words."""
    return cast("Items", option.type).one_line


def is_verbatim(option: cfg.Opt) -> bool:
    """Whether a `$` in `option` is no reference to another one."""
    return isinstance(option.type, Lines)


def takes_many(option: cfg.Opt) -> bool:
    """Whether `option` holds several values."""
    return isinstance(option.type, Items)
