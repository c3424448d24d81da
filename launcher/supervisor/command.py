"""A command as a service, as PID 1 knows it: what to execute, with what in the place of what."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIRST_FD = 3  # SD_LISTEN_FDS_START; sd_listen_fds(3)
_PLACEHOLDER = re.compile(r"\{(?P<doubled>\{)?(?P<name>fd|worker)\}(?(doubled)\})")  # doubled: the text itself


@dataclass(frozen=True, slots=True)
class Command:
    """What the workers of a service execute."""

    service: str
    words: tuple[str, ...]
    """The program and its arguments, with placeholders."""
    notifies: bool = False
    """It says by sd_notify(3) that it is ready."""

    @property
    def wants_socket(self) -> bool:
        """Whether it makes no sense without a listening socket."""
        found = (match for word in self.words for match in _PLACEHOLDER.finditer(word))
        return any(match["doubled"] is None and match["name"] == "fd" for match in found)

    def words_for(self, worker: int) -> list[str]:
        """Return the words for the worker of that slot: `{fd}` and `{worker}` replaced, `{{fd}}` as `{fd}`."""
        values = {"fd": str(FIRST_FD), "worker": str(worker)}

        def value(match: re.Match[str]) -> str:
            name = match["name"]
            return values[name] if match["doubled"] is None else f"{{{name}}}"

        return [_PLACEHOLDER.sub(value, word) for word in self.words]
