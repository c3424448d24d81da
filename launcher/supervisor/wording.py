"""How children and their ends are called in log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.errors import why
from launcher.supervisor import signals
from launcher.supervisor.notices import THREADS

if TYPE_CHECKING:
    from launcher.supervisor.state import Child

OUT_OF_MEMORY = "killed by the kernel: out of memory"


def title(child: Child) -> str:
    """Return what a child is and whose."""
    if child.slot.service is None:
        return f"mold {child.pid} (generation {child.generation})"
    return f"{child.slot.service.name}: worker {child.pid} (slot {child.slot.index}, generation {child.generation})"


def describe(status: int) -> str:
    """Return how a process ended, of a status as of `os.waitstatus_to_exitcode`."""
    return f"killed by {signals.name_of(-status)}" if status < 0 else f"exit code {status}"


def why_not_forked(error: int) -> str:
    """Return what a process that could not fork says with a number."""
    if error == THREADS:
        return "its process has other threads, which a copy would lack"
    return why(error)


def mebibytes(amount: float) -> str:
    """Return an amount of memory."""
    return f"{amount / 2**20:.0f} MiB"
