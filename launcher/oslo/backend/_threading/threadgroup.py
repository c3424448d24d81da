"""Threads and timers on native threads (oslo.service: the same)."""

from __future__ import annotations

from launcher.oslo.threadgroup import Thread, ThreadGroup

__all__ = ["Thread", "ThreadGroup"]
