"""A program written for oslo.service, as `bench.oslo` measures it; the backend comes from $BACKEND.

Usage: oslo_program.py SERVICE WORKERS
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from oslo_config import cfg
from oslo_service import backend

backend.init_backend(backend.BackendType[os.environ["BACKEND"].upper()])

from oslo_service import service  # noqa: E402 - as its documentation says


class Idle(service.Service):
    """Has neither socket nor timer."""

    def start(self) -> None:
        with Path(os.environ["STAMPS"]).open("a") as stamps:
            stamps.write(f"{os.getpid()}\n")


class Draining(Idle):
    """Takes three seconds to finish, in a worker: oslo.service stops its own copy, which was never started, too."""

    seconds = 3
    has_started = False

    def start(self) -> None:
        self.has_started = True
        super().start()

    def stop(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002 - oslo.service's signature
        if self.has_started:
            time.sleep(self.seconds)
        super().stop(graceful)


class Stuck(Draining):
    """Never finishes."""

    seconds = 1000


class Leaving(Idle):
    """Leaves ten orphans, half of them in sessions of their own, which end a moment later."""

    def start(self) -> None:
        for number in range(10):
            if os.fork() == 0:
                if number % 2:
                    os.setsid()
                if os.fork() == 0:
                    os.execlp("sleep", "sleep", "0.5")
                os._exit(0)
            os.wait()
        super().start()


class Crashing(Idle):
    """Cannot start."""

    def start(self) -> None:
        super().start()
        os._exit(3)


if __name__ == "__main__":
    conf = cfg.ConfigOpts()
    conf([])
    name, workers = sys.argv[1:]
    kinds = {kind.__name__: kind for kind in (Idle, Draining, Leaving, Stuck, Crashing)}
    sys.exit(service.launch(conf, kinds[name](), workers=int(workers)).wait())
