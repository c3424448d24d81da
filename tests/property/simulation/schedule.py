"""A schedule: all that will happen to a core, drawn from one integer.

Every schedule has some faults and not the others (swarm testing): a world in which everything goes wrong
at once only ever shows the first of it.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random
from typing import TYPE_CHECKING

from launcher.supervisor.settings import Policy, ServiceSpec
from tests.property.simulation.kernel import Nature

if TYPE_CHECKING:
    from launcher.supervisor.state import Spawn

NAMES = ("api", "scheduler", "tick")
QUARTERS = 0.25  # all times are multiples of it: much happens in the same instant, and sums are exact
STATUSES = (0, 1, 7, 78, -9, -9, -11)
WORKER_FAULTS = (
    "slow",
    "never_ready",
    "dies_starting",
    "dies",
    "deaf",
    "blocked",
    "slow_end",
    "no_stacks",
    "unkillable",
)
MOLD_FAULTS = ("loads_slowly", "refuses", "loads_for_ever", "dies_loading", "mold_dies", "forks_slowly", "late_birth")
MOLD_FAULTS += ("stops_forking", "mold_deaf")
COMMANDS = ("reload", "scale", "more", "less", "oom", "full", "strangers", "burst", "stall")
COMMANDS += ("finds_hung", "retires", "extend")


class Schedule:
    """Parameters: the seed, from which everything follows."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(seed)
        self.forks_itself = random.random() < 0.2  # as ProcessLauncher does: no mold
        self.pids = random.choice((12, 40, 30000))
        self.audited = random.random() < 0.25
        self.has_lifetimes = random.random() < 0.15
        self.policy = Policy(
            max_worker_lifetime=random.choice((8.0, 16.0)) if self.has_lifetimes else 0.0,
            limit_jitter=random.choice((0.0, 0.5)),
            molds_stay=random.random() < 0.3,
            pre_stop_timeout=random.choice((0.0, 0.0, 1.0, 3.0)),
            graceful_shutdown_timeout=random.choice((1.0, 2.0, 3.0)),
            abort_timeout=0.5,
            drain_delay=random.choice((0.0, 0.0, 1.0)),
            startup_timeout=random.choice((3.0, 5.0)),
            backoff_min=0.5,
            backoff_max=4.0,
            crash_loop_threshold=random.choice((2, 4, 6, 6)),
            crash_loop_window=random.choice((2.0, 6.0)),
            exit_on_crash_loop=random.random() < 0.7,
        )
        self._faults = {
            fault: random.choice((0.1, 0.3, 0.6)) for fault in WORKER_FAULTS + MOLD_FAULTS if random.random() < 0.3
        }
        self._policies_differ = random.random() < 0.3
        self._policies: dict[int, Policy] = {}
        self._good_until = 100.0 + random.choice((0.0, 3.0, 3.0, 3.0))
        self._services: dict[int, tuple[ServiceSpec, ...]] = {}
        self.calms_down = random.random() < 0.6
        self.length = random.choice((5.0, 15.0, 30.0))
        self.commands = self._draw_commands()

    def _draw_commands(self) -> list[tuple[float, tuple[object, ...]]]:
        random = self.random
        kinds = [kind for kind in COMMANDS if random.random() < 0.4] + ["reload"] * random.choice((0, 1, 1, 3))
        moments = sorted(self.time(self.length) for _ in range(random.randint(1, 12))) if kinds else []
        commands = [(moment, self._draw_command(random.choice(kinds), kinds)) for moment in moments]
        if random.random() < 0.2:
            commands += self._draw_nap()
        if not self.calms_down:
            commands.append((self.length, ("stop",)))
            for _ in range(random.choice((0, 1, 1, 4))):
                late = random.choice(("stop", "at_once", "at_once", "reload", "scale", "oom"))
                commands.append((self.length + self.time(4.0), self._draw_command(late, kinds)))
        return commands

    def _draw_nap(self) -> list[tuple[float, tuple[object, ...]]]:
        """A service is put to sleep while a reload is under way, and woken after it."""
        which, begins = self.random.randint(0, 2), self.time(self.length)
        sleeps = begins + self.time(2.0)
        wakes = sleeps + self.time(6.0)
        return [(begins, ("reload",)), (sleeps, ("scale", which, 0)), (wakes, ("scale", which, 2))]

    def _draw_command(self, kind: str, kinds: list[str]) -> tuple[object, ...]:
        random = self.random
        match kind:
            case "scale":
                return kind, random.randint(0, 2), random.choice((0, 0, 1, 2, 3, 4))
            case "full":
                return kind, self.time(6.0)
            case "stall":
                return kind, self.time(3.0)
            case "finds_hung" | "retires":
                return kind, random.randint(0, 20)
            case "extend":
                return kind, random.choice(NAMES), random.randint(1, 3)
            case "strangers":
                return kind, random.randint(1, 12)
            case "burst":
                parts = [part for part in kinds if part != "burst"] or ["more"]
                return kind, *(self._draw_command(random.choice(parts), parts) for _ in range(random.randint(2, 5)))
        return (kind,)

    def chance(self) -> float:
        """What the core uses for randomness."""
        return self.random.choice((0.0, 0.25, 0.5, 1.0))

    def least_lifetime(self, policy: Policy) -> float:
        """When the first worker of many is replaced for its age."""
        return policy.max_worker_lifetime * (1 - policy.limit_jitter) or inf

    def hook(self) -> float:
        """How long the pre_stop hook runs."""
        return self.random.choice((0.0, 0.5, 2.0, inf))

    def time(self, most: float) -> float:
        """A random time of up to so many seconds."""
        return self.random.randint(0, int(most / QUARTERS)) * QUARTERS

    # What the world is like, asked for as it goes

    def services(self, generation: int) -> tuple[ServiceSpec, ...]:
        """What a generation's configuration says; read again, it says the same."""
        if generation not in self._services:
            random, before = self.random, self._services[max(self._services)] if self._services else ()
            if before and (self.forks_itself or random.random() < 0.5):
                self._services[generation] = tuple(replace(spec, workers=random.randint(1, 3)) for spec in before)
            else:
                names = random.sample(NAMES, random.choice((1, 1, 2, 3)))
                self._services[generation] = tuple(map(self._draw_spec, names))
        return self._services[generation]

    def _draw_spec(self, name: str) -> ServiceSpec:
        random = self.random
        return ServiceSpec(
            name,
            workers=random.randint(1, 3),
            most=random.choice((None, None, None, 4)),
            restart=random.choice(("always",) * 6 + ("on-failure", "never")),
            dumps_stacks=name != "tick",
            ready_after=random.choice((None,) * 5 + (0.0, 0.5, 2.0)),
        )

    def spec(self, spawn: Spawn) -> ServiceSpec:
        """What a worker's generation says of its service."""
        return next(spec for spec in self._services[spawn.generation] if spec.name == spawn.service)

    def policy_of(self, generation: int) -> Policy:
        """How patient a generation's configuration says to be."""
        if generation not in self._policies:
            differs = self._policies_differ and generation > 1
            self._policies[generation] = self._another_policy() if differs else self.policy
        return self._policies[generation]

    def _another_policy(self) -> Policy:
        grace, drain = self.random.choice((1.0, 2.0, 3.0)), self.random.choice((0.0, 1.0, 2.0))
        return replace(self.policy, graceful_shutdown_timeout=grace, drain_delay=drain)

    def extend(self, generation: int, spec: ServiceSpec) -> None:
        """`launch_service` was called once more."""
        self._services[generation] = (*self.services(generation), spec)

    def worker(self, now: float) -> Nature:
        """The nature of the next worker."""
        if now < self._good_until or not self._faults:
            return Nature(ready_after=self.time(1.0), term_delay=self.time(0.5))
        patience = self.policy.startup_timeout
        ready_after, dies_after, deaf_after = self.time(1.0), inf, inf
        if self.has("slow"):
            ready_after = self.time(patience + 1.0)
        if self.has("never_ready"):
            ready_after = inf
        if self.has("dies_starting"):
            dies_after = self.time(min(ready_after, 1.0))
        elif self.has("dies"):
            dies_after = self.time(15.0)
        if self.has("blocked"):
            deaf_after = self.time(8.0)
        return Nature(
            ready_after=ready_after,
            dies_after=dies_after,
            status=self.random.choice(STATUSES),
            deaf_after=deaf_after,
            term_delay=self._end("deaf", "slow_end"),
            term_status=self.random.choice((0, 0, 1, -15)),
            abort_delay=self._end("no_stacks", "slow_end"),
            kill_delay=self.time(4.0) if self.has("unkillable") else 0.0,
        )

    def mold(self, now: float) -> Nature:
        """The nature of the next mold."""
        if now < self._good_until or not self._faults:
            return Nature(ready_after=self.time(1.0))
        ready_after, dies_after = self.time(1.0), inf
        if self.has("loads_slowly"):
            ready_after = self.time(self.policy.startup_timeout + 1.0)
        if self.has("loads_for_ever"):
            ready_after = inf
        if self.has("dies_loading"):
            dies_after = self.time(min(ready_after, 2.0))
        elif self.has("mold_dies"):
            dies_after = self.time(15.0)
        return Nature(
            ready_after=ready_after,
            dies_after=dies_after,
            status=self.random.choice(STATUSES),
            refuses=self.random.choice((1, 78)) if self.has("refuses") else 0,
            term_delay=self._end("mold_deaf", "slow_end"),
            term_status=-15,
            abort_delay=self._end("no_stacks", "slow_end"),
            kill_delay=self.time(4.0) if self.has("unkillable") else 0.0,
            fork_delay=self.time(2.0) if self.has("forks_slowly") else 0.0,
            birth_delay=self.time(4.0) if self.has("late_birth") else 0.0,
            forks_until=self.time(10.0) if self.has("stops_forking") else inf,
        )

    def _end(self, never: str, slow: str) -> float:
        if self.has(never):
            return inf
        return self.time(self.policy.graceful_shutdown_timeout + 1.0) if self.has(slow) else self.time(0.5)

    def has(self, fault: str) -> bool:
        """Whether a fault strikes now."""
        chance = self._faults.get(fault)
        return chance is not None and self.random.random() < chance

    def calm_down(self) -> None:
        """From now on every new process is good."""
        self._faults = {}
