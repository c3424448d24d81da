"""The settings of each generation, from the moment its mold has read them until nobody is spawned of it any more.

Guarantees: what a generation asks for is bound before the core hears of it, and one whose addresses
cannot be had changes nothing; a socket is closed once no service that may still be spawned uses it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from launcher.errors import EXIT_CONFIG, ConfigError, why
from launcher.supervisor.sockets import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from socket import socket

    from launcher.supervisor.command import Command
    from launcher.supervisor.core import Core
    from launcher.supervisor.log import Log
    from launcher.supervisor.settings import Settings
    from launcher.supervisor.spawn import Loaded
    from launcher.supervisor.state import Spawn


class Generations:
    """What the supervisor knows of each generation.

    Parameters: `initial`, what holds until a generation is loaded; `provide`, to make what settings need, which
    raises OSError where that cannot be had; `in_force`, to be told of settings that hold from now on; `forget`,
    to be told of a generation that is not needed any more.
    """

    def __init__(  # noqa: PLR0913 - all are named
        self,
        core: Core,
        log: Log,
        *,
        initial: Settings,
        provide: Callable[[Settings], None],
        in_force: Callable[[Settings], None],
        forget: Callable[[int], None],
    ) -> None:
        self._core, self._log = core, log
        self._provide, self._in_force, self._forget = provide, in_force, forget
        self.settings: dict[int, Settings] = {}
        self.current = initial
        self.listeners = Listeners()
        self._kept: tuple[object, ...] = ()  # what the open sockets go by

    def loaded(self, generation: int, loaded: Loaded) -> None:
        """A mold has loaded a generation, or says why not."""
        if loaded.startup_timeout is not None:
            self._core.loading(generation, loaded.startup_timeout)
            return
        if loaded.settings is None:
            if generation not in self.settings:
                self._forget(generation)  # its mold ends, and whatever it may say yet is not heard
            self._prepare_failed(generation, loaded.code, loaded.reason)
            return
        if generation not in self.settings:  # else its mold was replaced: what it first said holds
            try:
                self._provided(loaded.settings)
                self.listeners.bind(loaded.settings.listen)
            except ConfigError as error:
                self._forget(generation)  # its mold ends
                self._prepare_failed(generation, EXIT_CONFIG, str(error))
                return
            self._apply(generation, loaded.settings)
            self._log.lines("info", (*loaded.settings.notes, *self.listeners.chosen()))
            self._log.lines("warning", self.listeners.unused(loaded.settings.listen))
        settings = self.settings[generation]
        if missing := _names(settings) - _names(loaded.settings):
            changed = "the configuration has changed since and has no service"
            self._prepare_failed(generation, EXIT_CONFIG, f"{changed} {', '.join(sorted(missing))}: HUP takes it up")
            return
        self._core.prepared(generation, settings.services, settings.policy, monotonic())
        if not settings.needs_mold:
            self._core.mold_leaves(generation, monotonic())

    def extend(self, settings: Settings) -> None:
        """Add the services that these settings have more than those of the newest generation; its sockets are bound."""
        generation = max(self.settings)
        self.settings[generation] = settings
        self._log.lines("info", self.listeners.chosen())
        self._core.prepared(generation, settings.services, settings.policy, monotonic())

    def listeners_of(self, spawn: Spawn) -> Sequence[socket]:
        """Return the sockets of the service that is to be spawned."""
        return self.listeners.of(self.settings[spawn.generation].listen, spawn.service)

    def command_of(self, spawn: Spawn) -> Command | None:
        """Return what the service that is to be spawned executes, if it is a command."""
        commands = self.settings[spawn.generation].commands
        return next((each for each in commands if each.service == spawn.service), None)

    def forget_unused(self) -> None:
        """Let go of settings that no generation uses any more, and of sockets that no service does."""
        gone = self.settings.keys() - self._core.generations.keys()
        for generation in gone:
            del self.settings[generation]
            self._forget(generation)
        going_by = self._core.state.holds, self._core.requested, len(self.settings)
        if gone or going_by != self._kept:
            self._kept = going_by
            serving = self._in_use()
            self.listeners.keep(
                *(
                    [each for each in settings.listen if (generation, each.service) in serving]
                    for generation, settings in self.settings.items()
                )
            )

    def _provided(self, settings: Settings) -> None:
        try:
            self._provide(settings)
        except OSError as error:
            raise ConfigError(f"cannot take up the configuration: {why(error.errno or 0)}") from None

    def _prepare_failed(self, generation: int, code: int, reason: str) -> None:
        self._core.prepare_failed(generation, code, reason, monotonic())

    def _apply(self, generation: int, settings: Settings) -> None:
        self.settings[generation] = self.current = settings
        self._log.configure(settings.log_level, settings.log_format)
        self._in_force(settings)

    def _in_use(self) -> set[tuple[int, str]]:
        """Which services may be spawned of which generation; after a failed reload, that may be an older one."""
        services = self._core.services.values()
        versions = [(each.name, version) for each in services for version in (each.version, each.proven)]
        used = {(version.generation, name) for name, version in versions if version and version.workers}
        requested = self._core.requested
        if requested in self.settings:  # it is bound, and its mold was lost before it was taken up
            used |= {(requested, listen.service) for listen in self.settings[requested].listen}
        return used


def _names(settings: Settings) -> set[str]:
    return {spec.name for spec in settings.services}
