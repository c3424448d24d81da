"""The OpenStack programs that are run, and how one sees that they do."""

from __future__ import annotations

from dataclasses import dataclass, field

SECONDS_TO_STOP = 15  # graceful_shutdown_timeout of etc/common.conf


@dataclass(frozen=True, slots=True)
class Program:
    """A program of a project, what each of its workers says in the log when it has started, and how many there are.

    With no workers it runs in PID 1 itself; `reports` if it answers USR2 with a Guru Meditation Report.
    """

    title: str
    project: str
    command: tuple[str, ...]
    started: str
    workers: int = 2
    reports: bool = True
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self) -> list[str]:
        """Return the command line, as an operator would write it."""
        files = (f"/etc/openstack/{name}.conf" for name in ("common", self.project))
        return [*self.command, *(f"--config-file={file}" for file in files)]


EVENTLET = {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "false"}
THREADING = {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
CONDUCTOR = Program(
    "nova-conductor, eventlet", "nova", ("nova-conductor",), "Starting conductor node", environment=EVENTLET
)
PROGRAMS = (
    CONDUCTOR,
    Program("nova-conductor, threading", "nova", ("nova-conductor",), "Starting conductor node", environment=THREADING),
    Program(
        "nova-conductor with 1 worker, eventlet",
        "nova",
        ("nova-conductor",),
        "Starting conductor node",
        workers=0,
        environment={**EVENTLET, "OS_CONDUCTOR__WORKERS": "1"},
    ),
    Program("nova-scheduler, eventlet", "nova", ("nova-scheduler",), "Starting scheduler node", environment=EVENTLET),
    Program("nova-scheduler, threading", "nova", ("nova-scheduler",), "Starting scheduler node", environment=THREADING),
    Program(
        "cinder-volume with 2 back ends, eventlet",
        "cinder",
        ("cinder-volume",),
        "Driver post RPC initialization completed",
    ),
    Program(
        "mistral-server with 3 components, threading",
        "mistral",
        ("mistral-server", "--server=engine,executor,notifier"),
        "server started.",
        workers=3,
        reports=False,
    ),
    Program(
        "ironic-conductor, threading",
        "ironic",
        ("ironic-conductor",),
        "Created RPC server",
        workers=1,
        reports=False,  # USR2 asks it to drain
    ),
)
