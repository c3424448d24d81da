"""How each peer is started with N workers that write their readiness into a file, on the monotonic clock.

All run the same module `app`; as each peer's own documentation does it, with its defaults, but for log lines.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = sys.executable
BIN = str(Path(PYTHON).parent)

APP = """
import gc, os, time

# About 100 MB of small objects: what an application that was imported once may share with its workers.
BALLAST = [[number, str(number)] for number in range(int(os.environ.get("OBJECTS", "0")))]

def stamp():
    if BALLAST:
        gc.collect()  # as will happen in every worker that has something to do
    with open(os.environ["STAMPS"], "a") as stamps:
        stamps.write(f"{os.getpid()} {time.monotonic()}\\n")

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b""]

async def asgi(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        if message["type"] == "lifespan.startup":
            stamp()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
"""

LAUNCHER = """
from launcher import Service
from app import stamp
class Idle(Service):
    def start(self):
        stamp()
"""

GUNICORN = """
loglevel = "critical"
def post_worker_init(worker):
    from app import stamp
    stamp()
"""

OSLO = """
import sys
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.{backend})
from oslo_service import service
from app import stamp
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
from app import stamp
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

PROGRAM = """
import signal
from app import stamp
signal.signal(signal.SIGTERM, lambda *_: exit())
stamp()
while True:
    signal.pause()
"""

CIRCUS = f"""
[circus]
check_delay = 5
endpoint = ipc://circus-endpoint
pubsub_endpoint = ipc://circus-pubsub
loglevel = critical
[watcher:idle]
cmd = {PYTHON} program.py
numprocesses = $(circus.env.workers)
copy_env = true
"""

SUPERVISORD = f"""
[supervisord]
nodaemon = true
loglevel = critical
logfile = /dev/null
logfile_maxbytes = 0
pidfile = supervisord.pid
[program:idle]
command = {PYTHON} program.py
numprocs = %(ENV_WORKERS)s
process_name = %(process_num)d
autorestart = true
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that starts workers: its command, with N for their number and PORT for a free port, and its files."""

    name: str
    command: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)

    def prepare(self, folder: Path) -> None:
        """Write what it needs into its working directory."""
        for name, content in {"app.py": APP, **self.files}.items():
            (folder / name).write_text(content)

    def argv(self, workers: int, port: int) -> list[str]:
        """Return the command line."""
        words = {
            "N": str(workers),
            "PORT": str(port),
            "ADDRESS": f"127.0.0.1:{port}",
            "idle:Idle=N": f"idle:Idle={workers}",
        }
        return [words.get(word, word) for word in self.command]


PEERS = (
    Peer(
        "launcher",
        (f"{BIN}/launcher", "run", "idle:Idle=N", "--log-level", "error"),
        {"idle.py": LAUNCHER},
    ),
    Peer(
        "launcher threading",
        (f"{BIN}/launcher", "run", "idle:Idle=N", "--backend", "threading", "--log-level", "error"),
        {"idle.py": LAUNCHER},
    ),
    Peer(
        "gunicorn",
        (f"{BIN}/gunicorn", "--preload", "-c", "hooks.py", "-w", "N", "-b", "ADDRESS", "app:wsgi"),
        {"hooks.py": GUNICORN},
    ),
    Peer(
        "uvicorn",
        (f"{BIN}/uvicorn", "--workers", "N", "--port", "PORT", "--log-level", "critical", "app:asgi"),
    ),
    Peer(
        "granian",
        (
            *(f"{BIN}/granian", "--interface", "asgi", "--workers", "N", "--port", "PORT", "--no-log"),
            *("--respawn-failed-workers", "app:asgi"),
        ),
    ),
    Peer("circus", (f"{BIN}/circusd", "circus.ini"), {"circus.ini": CIRCUS, "program.py": PROGRAM}),
    Peer(
        "supervisord",
        (f"{BIN}/supervisord", "-c", "supervisord.conf"),
        {"supervisord.conf": SUPERVISORD, "program.py": PROGRAM},
    ),
    Peer("cotyledon", (PYTHON, "-W", "ignore", "run.py", "N"), {"run.py": COTYLEDON}),
    Peer("oslo eventlet", (PYTHON, "-W", "ignore", "run.py", "N"), {"run.py": OSLO.format(backend="EVENTLET")}),
    Peer("oslo threading", (PYTHON, "-W", "ignore", "run.py", "N"), {"run.py": OSLO.format(backend="THREADING")}),
)
