"""Methods that are run when they are due, each time that somebody asks (oslo.service: the same).

Nothing runs by itself here: the program calls `run_periodic_tasks()`, often from a dynamic timer, which sleeps for as
long as that returns.  A service that is written anew has `launcher.periodic` for this.
"""
# ruff: noqa: SLF001 - the marks on a function have oslo.service's names

from __future__ import annotations

import logging
import random
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from functools import partial
from multiprocessing.reduction import ForkingPickler
from time import monotonic as now
from typing import TYPE_CHECKING, Any, ClassVar

from launcher import oslo
from launcher.oslo import _multiprocessing, _options, backend
from launcher.oslo.backend.exceptions import UnsupportedBackendError
from launcher.worker import backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DEFAULT_INTERVAL", "InvalidPeriodicTaskArg", "PeriodicTasks", "list_opts", "periodic_task"]

LOG = logging.getLogger(__name__)

DEFAULT_INTERVAL = 60.0  # seconds


def list_opts() -> list[tuple[None, list[Any]]]:
    """Return the options of this module, for oslo-config-generator."""
    return [(None, deepcopy(_options.periodic_opts))]


class InvalidPeriodicTaskArg(Exception):
    """`periodic_task` has no such argument."""

    message = "Unexpected argument for periodic task creation: %(arg)s."

    def __init__(self, *, arg: str) -> None:
        super().__init__(self.message % {"arg": arg})


def periodic_task(*args: Any, **kwargs: Any) -> Any:
    """Mark a method as one that is due every `spacing` seconds.

    Used bare, or with these keywords: `spacing` (0: 60, negative: never), `run_immediately` (false: first due when
    `spacing` is over), `enabled` (true), `external_process_ok` (false; if true, the option
    `run_external_periodic_tasks` may switch it off), `name` (that of the method).
    """

    def mark(method: Any) -> Any:
        if "ticks_between_runs" in kwargs:
            raise InvalidPeriodicTaskArg(arg="ticks_between_runs")
        immediately = kwargs.get("run_immediately", False)
        vars(method).update(
            _periodic_task=True,
            _periodic_external_ok=kwargs.get("external_process_ok", False),
            _periodic_enabled=kwargs.get("enabled", True),
            _periodic_name=kwargs.get("name", method.__name__),
            _periodic_spacing=kwargs.get("spacing", 0),
            _periodic_immediate=immediately,
            _periodic_last_run=None if immediately else now(),
        )
        return method

    return mark(args[0]) if args else mark


class _PeriodicTasksMeta(type):
    """Collects the marked methods of a class; those of its base come first."""

    _periodic_tasks: list[tuple[str, Any]]
    _periodic_spacing: dict[str, float]

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> None:
        super().__init__(name, bases, members)
        cls._periodic_tasks = list(getattr(cls, "_periodic_tasks", ()))
        cls._periodic_spacing = dict(getattr(cls, "_periodic_spacing", {}))
        for member in members.values():
            if getattr(member, "_periodic_task", False):
                cls._add_periodic_task(member)

    def _add_periodic_task(cls, task: Any) -> bool:
        """Add a marked method; return whether it will ever be run."""
        name = task._periodic_name
        if task._periodic_spacing < 0 or not task._periodic_enabled:
            why = "it is disabled" if task._periodic_spacing >= 0 else "its interval is negative"
            LOG.info("Skipping periodic task %s because %s", name, why)
            return False
        task._periodic_spacing = task._periodic_spacing or DEFAULT_INTERVAL
        cls._periodic_tasks.append((name, task))
        cls._periodic_spacing[name] = task._periodic_spacing
        return True


class PeriodicTasks(metaclass=_PeriodicTasksMeta):
    """The base of classes with periodic tasks; each is called with the context."""

    _periodic_tasks: ClassVar[list[tuple[str, Any]]]
    _periodic_spacing: ClassVar[dict[str, float]]

    def __init__(self, conf: Any) -> None:
        super().__init__()
        self.conf = conf
        self.conf.register_opts(_options.periodic_opts)
        self._periodic_last_run = {name: task._periodic_last_run for name, task in self._periodic_tasks}

    def add_periodic_task(self, task: Any) -> None:
        """Add a function that `periodic_task` has marked, to the class."""
        if type(self)._add_periodic_task(task):
            self._periodic_last_run[task._periodic_name] = task._periodic_last_run

    def run_periodic_tasks(self, context: Any, raise_on_error: bool = False) -> float:
        """Run the tasks that are due, one after the other; return the seconds until the next may be, at most 60.

        What they raise is logged, or raised if that is asked for.
        """
        idle_for = DEFAULT_INTERVAL
        for name, task in self._tasks_of_this_process():
            due_in = self._due_in(name)
            idle_for = min(idle_for, self._idle_for(name, due_in))
            if due_in:
                continue
            self._count_as_run(name)
            self._run(name, partial(task, self, context), raise_on_error)
            backends.current().sleep(0)
        return idle_for

    def run_periodic_tasks_in_parallel(
        self,
        context: Any,
        raise_on_error: bool = False,
        processes: int | None = None,
    ) -> float:
        """Do the same in `processes` processes at a time, which are started for it and have copies of this object.

        Raises `UnsupportedBackendError` on green threads, and what pickle raises if it cannot copy this object or the
        context; none of the tasks counts as run then.
        """
        if backend.get_backend_type() != backend.BackendType.THREADING:
            raise UnsupportedBackendError("run_periodic_tasks_in_parallel() needs the threading backend")
        waits = {(name, task): self._due_in(name) for name, task in self._tasks_of_this_process()}
        idle_for = min([DEFAULT_INTERVAL, *(self._idle_for(name, due_in) for (name, _task), due_in in waits.items())])
        due = [(name, task) for (name, task), due_in in waits.items() if not due_in]
        if not due:
            return idle_for
        self._check_picklable(context)
        for name, _task in due:
            self._count_as_run(name)
        initializer = oslo.install if sys.modules.get(oslo.THEIRS) is oslo else None
        with ProcessPoolExecutor(processes, _multiprocessing.get_spawn_context(), initializer) as pool:
            names = {pool.submit(_run_elsewhere, task, self, context): name for name, task in due}
            for ended in as_completed(names):
                self._run(names[ended], ended.result, raise_on_error)
        return idle_for

    def _tasks_of_this_process(self) -> Iterator[tuple[str, Any]]:
        for name, task in self._periodic_tasks:
            if self.conf.run_external_periodic_tasks or not task._periodic_external_ok:
                yield name, task

    def _due_in(self, name: str) -> float:
        """Return the seconds until a task is due, 0 if it is."""
        last_run = self._periodic_last_run[name]
        return 0.0 if last_run is None else max(0.0, last_run + self._periodic_spacing[name] - now())

    def _idle_for(self, name: str, due_in: float) -> float:
        """Return the seconds until a task that is due in so many may be due next."""
        spacing = self._periodic_spacing[name]
        return min(spacing, due_in or spacing)

    def _count_as_run(self, name: str) -> None:
        LOG.debug("Running periodic task %s", self._full_name(name))
        self._periodic_last_run[name] = _nearest_boundary(self._periodic_last_run[name], self._periodic_spacing[name])

    def _run(self, name: str, call: Callable[[], object], raise_on_error: bool) -> None:
        try:
            call()
        except backends.current().kills:
            raise
        except BaseException:  # the border to the application
            if raise_on_error:
                raise
            LOG.exception("Error during %s", self._full_name(name))

    def _full_name(self, name: str) -> str:
        return f"{type(self).__name__}.{name}"

    def _check_picklable(self, context: Any) -> None:
        try:
            ForkingPickler.dumps((self, context))
        except Exception:
            LOG.exception("%s or the context cannot be pickled, so no other process can run it", type(self).__name__)
            raise


def _run_elsewhere(task: Callable[..., object], service: PeriodicTasks, context: Any) -> None:
    task(service, context)


def _nearest_boundary(last_run: float | None, spacing: float) -> float:
    """Return when a task that is run now was due, or a little later.

    That is `spacing` seconds after its last run, or a multiple of it; up to a twentieth of it is added, in whole
    seconds, so that processes that began together do not stay together.
    """
    current = now()
    if last_run is None:
        return current
    spread = int(spacing * random.random() / 20)  # noqa: S311 - nobody's secret
    return current - (current - last_run) % spacing + spread
