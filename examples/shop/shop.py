"""A small shop in the spirit of OpenStack: an API with several workers, and one scheduler.

Run it with `make run`, or here with `launcher run --config-file shop.conf`.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from launcher import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Answer = tuple[str, dict[str, Any]]

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")  # nothing if launcher did it
logger = logging.getLogger("shop")

LONGEST_SLEEP = 30.0


def api(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request; a plain WSGI callable is all that `launcher run shop:api` needs."""
    page = PAGES.get(environ["PATH_INFO"], missing)
    status, content = page(environ)
    body = json.dumps(content).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def index(_environ: dict[str, Any]) -> Answer:
    """Say who answers."""
    return "200 OK", {"service": "shop", "pid": os.getpid()}


def slow(environ: dict[str, Any]) -> Answer:
    """Answer after `?seconds=N`, at most 30, to see a stop wait for a request."""
    try:
        seconds = float(parse_qs(environ.get("QUERY_STRING", "")).get("seconds", ["2"])[0])
        seconds = min(max(0.0, seconds), LONGEST_SLEEP)  # NaN becomes 0 too
    except ValueError:
        return "400 Bad Request", {"error": "seconds must be a number"}
    time.sleep(seconds)
    return "200 OK", {"service": "shop", "pid": os.getpid(), "slept": seconds}


def healthz(_environ: dict[str, Any]) -> Answer:
    """Say that this worker answers."""
    return "200 OK", {"status": "ok"}


def missing(environ: dict[str, Any]) -> Answer:
    """Say that there is no such page."""
    return "404 Not Found", {"error": f"no page {environ['PATH_INFO']}"}


PAGES = {"/": index, "/slow": slow, "/healthz": healthz}


class Scheduler(Service):
    """Periodic work in a single process.  A stop lets the tick under way finish."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    def start(self) -> None:
        """Begin to tick once a second."""
        self.tg.add_timer(1.0, self.tick)

    def tick(self) -> None:
        """Do a little work."""
        self.ticks += 1
        time.sleep(0.05)
        logger.info("tick %d in process %d", self.ticks, os.getpid())
