"""The memory limit of our cgroup: how often the kernel has killed for it.

cgroup v2 and v1; where neither can be read, nothing was ever killed.  In a container the root of the
mounted hierarchy is our own cgroup; elsewhere /proc/self/cgroup says where below the root it is.
"""

MOUNT = "/sys/fs/cgroup"


class OomKills:
    """The kills since this was made."""

    def __init__(self) -> None:
        self._paths = _paths()
        self._before = _count(self._paths)

    def have_grown(self) -> bool:
        """Whether there were any."""
        return _count(self._paths) > self._before


def _count(paths: list[str]) -> int:
    """Return the count out of the first file that has one."""
    for path in paths:
        for line in _lines(path):
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    return 0


def _paths() -> list[str]:
    """Return where the count may be, best first."""
    found = []
    for line in _lines("/proc/self/cgroup"):
        number, controllers, path = line.decode(errors="surrogateescape").split(":", 2)
        below = path.rstrip("/")
        if number == "0":
            found += [f"{MOUNT}{below}/memory.events", f"{MOUNT}/memory.events"]
        elif "memory" in controllers.split(","):
            found += [f"{MOUNT}/memory{below}/memory.oom_control", f"{MOUNT}/memory/memory.oom_control"]
    return found


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().splitlines()
    except OSError:
        return []
