"""What PID 1 knows of the configuration: plain frozen values, validated by somebody else.

PID 1 parses no file.  The process that loads a generation (the mold, or the program that called
`ProcessLauncher`) reads and checks the configuration and hands over a `Settings`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Literal

from launcher.supervisor.command import Command

DEFAULT = "default"  # the source of what nobody has set
Restart = Literal["always", "on-failure", "never"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient the supervisor is.  Durations are seconds; `inf` means for ever."""

    graceful_shutdown_timeout: float = 8.0
    """From TERM until a worker that has not ended is asked for its stacks and killed."""
    abort_timeout: float = 0.5
    """From ABRT, which makes a worker write its stacks, until KILL."""
    drain_delay: float = 0.0
    """From the supervisor's TERM until the workers are sent theirs: load balancers catch up."""
    startup_timeout: float = 60.0
    """From the fork until a worker must be ready, and a mold must have loaded the application."""
    liveness_timeout: float = inf
    """From when a ready worker got some work, or was stopped, until it hangs if it does not look for more."""
    backoff_min: float = 0.5
    """Before the second restart in a row; doubles with each further one.  The first is at once."""
    backoff_max: float = 30.0
    crash_loop_threshold: int = 5
    """So many failures in a row of one slot, or of its service for `crash_loop_window`, and nothing ready."""
    crash_loop_window: float = 10.0
    """A worker that was ready for so long was healthy: its end begins a new row."""
    exit_on_crash_loop: bool = True
    """Give up and end with the worker's code; else go on with the longest back-off."""
    pre_stop_timeout: float = 0.0
    """So long the workers wait for the pre_stop hook before they are told to stop; 0: there is none."""
    max_worker_lifetime: float = 0.0
    """From a worker's fork until it is replaced; 0 or `inf` is never."""
    mold_timeout: float = 1.0
    """From when a mold that has stayed is told to end, and forks what it was asked for before, until ABRT and KILL."""
    molds_stay: bool = False
    """When stopping, until the last worker has ended: hooks need what the mold holds."""
    limit_jitter: float = 0.1
    """How much lower, at random, a worker's own limits may be, as a part of each."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to bind before the first worker starts."""

    service: str
    address: str
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `unix:PATH` or `fd://NUMBER-OR-NAME`."""
    source: str
    """Where it was set, for the message that says it cannot be bound."""
    blocking: bool = False
    """What a command gets, as from systemd: it may know of nothing else."""
    numeric: str = ""
    """The same address with a number for its host, where that is a name."""

    @property
    def to_bind(self) -> str:
        """The address as the kernel knows it: nothing is left to be looked up."""
        return self.numeric or self.address


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service and how many workers it shall have."""

    name: str
    workers: int
    most: int | None = None
    """With it the service is elastic: from `workers` up to so many, by their busyness."""
    restart: Restart = "always"
    """Whether a worker that ended by itself is replaced; `on-failure`: not after exit code 0."""
    ready_after: float | None = None
    """Seconds after the fork when a worker that has not ended counts as ready; None: it says so itself."""
    remold_after: float | None = None
    """Seconds that the worker in slot 0 must have served when a copy of it becomes the mold; None: never."""
    dumps_stacks: bool = True
    """Whether ABRT makes a worker write its stacks; else KILL follows TERM at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that one generation is run with."""

    services: tuple[ServiceSpec, ...]
    commands: tuple[Command, ...] = ()
    """Those of the services that are commands."""
    listen: tuple[Listen, ...] = ()
    policy: Policy = Policy()
    reset_on_hup: bool = False
    """HUP asks the workers to `reset()` instead of replacing them (`reload_method = reset`)."""
    log_format: str = "console"
    log_level: str = "info"
    runtime_dir: str = ""
    termination_log: str = "/dev/termination-log"
    max_requests: int = 0
    """After which a worker asks to be replaced; 0 is never."""
    max_worker_memory: int = 0
    """Bytes at which a worker is replaced; 0 is never."""
    backdoor_socket: str = ""
    """Path of a worker's debugging socket, with placeholders; empty: there is none."""
    hooks: tuple[str, ...] = ()
    """Those of `pre_stop` and `worker_exit` that the application has."""
    notes: tuple[str, ...] = ()
    """What a person should know of how these came about."""

    @property
    def needs_mold(self) -> bool:
        """Whether anything is asked of a mold once it has loaded: it does not fork commands."""
        return len(self.services) > len(self.commands) or bool(self.hooks)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the way from the mold to PID 1; `inf` becomes null, JSON has none."""
        plain = asdict(self)
        plain["policy"] = {key: None if value == inf else value for key, value in plain["policy"].items()}
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Settings:
        """The inverse of `to_json`."""
        policy: dict[str, Any] = {key: inf if value is None else value for key, value in plain["policy"].items()}
        services = tuple(ServiceSpec(**spec) for spec in plain["services"])
        listen = tuple(Listen(**listen) for listen in plain["listen"])
        commands = tuple(Command(**{**each, "words": tuple(each["words"])}) for each in plain["commands"])
        return cls(
            **{
                **plain,
                "policy": Policy(**policy),
                "services": services,
                "commands": commands,
                "listen": listen,
                "hooks": tuple(plain["hooks"]),
                "notes": tuple(plain["notes"]),
            }
        )
