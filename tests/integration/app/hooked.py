"""Hooks that say when they run, and in which process."""

from __future__ import annotations

import os
import sys
from typing import Any


def pre_start() -> None:
    say("pre_start")


def preload() -> None:
    say("preload")


def post_fork() -> None:
    say("post_fork")


def pre_stop() -> None:
    say("pre_stop")


def worker_exit(_conf: object, end: Any) -> None:
    say(f"worker_exit {end.service} {end.exit_code}")


def fails() -> None:
    raise LookupError("no such table")


def say(text: str) -> None:
    sys.stdout.write(f"hook in {os.getpid()}: {text}\n")
    sys.stdout.flush()
