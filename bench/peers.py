"""How each peer is started with N workers that write their readiness into a file, on the monotonic clock."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

STAMP = """
import os, time
def stamp():
    with open(os.environ["STAMPS"], "a") as stamps:
        stamps.write(f"{os.getpid()} {time.monotonic()}\\n")
"""

LAUNCHER = """
from launcher import Service
from stamp import stamp
class Idle(Service):
    def start(self):
        stamp()
"""

GUNICORN = """
from stamp import stamp
workers = int(__import__("os").environ["WORKERS"])
bind = "127.0.0.1:0"
loglevel = "critical"
def post_worker_init(worker):
    stamp()
"""

OSLO = """
import sys
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.{backend})
from oslo_service import service
from stamp import stamp
class Idle(service.Service):
    def start(self):
        stamp()
conf = cfg.ConfigOpts()
conf([])
if __name__ == "__main__":
    service.launch(conf, Idle(), workers=int(sys.argv[1])).wait()
"""

COTYLEDON = """
import sys, threading, cotyledon
from stamp import stamp
class Idle(cotyledon.Service):
    def run(self):
        stamp()
        self.done = threading.Event()
        self.done.wait()
    def terminate(self):
        self.done.set()
manager = cotyledon.ServiceManager()
manager.add(Idle, workers=int(sys.argv[1]))
manager.run()
"""


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    file: str
    source: str
    command: tuple[str, ...]

    def prepare(self, folder: Path) -> None:
        (folder / "stamp.py").write_text(STAMP)
        (folder / self.file).write_text(self.source)

    def argv(self, workers: int) -> list[str]:
        return [part.replace("N", str(workers)) if part in {"N", "idle:Idle=N"} else part for part in self.command]


PYTHON = sys.executable
BIN = str(Path(PYTHON).parent)
APP = 'def app(environ, start_response):\n    start_response("200 OK", [])\n    return [b""]\n'
PEERS = (
    Peer("launcher", "idle.py", LAUNCHER, (f"{BIN}/launcher", "run", "idle:Idle=N", "--log-level", "error")),
    Peer("gunicorn", "gunicorn.conf.py", GUNICORN + APP, (f"{BIN}/gunicorn", "-c", "gunicorn.conf.py", "idle_app:app")),
    Peer("oslo.service, eventlet", "run.py", OSLO.format(backend="EVENTLET"), (PYTHON, "-W", "ignore", "run.py", "N")),
    Peer(
        "oslo.service, threading", "run.py", OSLO.format(backend="THREADING"), (PYTHON, "-W", "ignore", "run.py", "N")
    ),
    Peer("cotyledon", "run.py", COTYLEDON, (PYTHON, "-W", "ignore", "run.py", "N")),
)
