"""The limits of our cgroup, and how often the kernel has killed for its memory.

cgroup v2 and v1.  In a container the root of the mounted hierarchy is our own cgroup; elsewhere
/proc/self/cgroup says where below the root it is, and the limits of the groups above it hold as well.
What cannot be read is no limit, and nothing was ever killed.  Nothing is imported: `launcher exec` uses this too.
"""

MOUNT = "/sys/fs/cgroup"
MEMBERSHIP = "/proc/self/cgroup"
INF = float("inf")
UNLIMITED = 2**60  # v1 says "none" as the largest number of pages that the kernel can count


class Cgroup:
    """Our groups, from the innermost to the root of each hierarchy."""

    def __init__(self, mount: str = MOUNT, membership: str = MEMBERSHIP) -> None:
        self._v2: list[str] = []
        self._v1: dict[str, list[str]] = {"cpu": [], "memory": []}
        for line in _lines(membership):
            number, controllers, path = line.decode(errors="surrogateescape").split(":", 2)
            if number == "0":
                self._v2 = _upwards(mount, path)
            for each in controllers.split(","):
                if each in self._v1:
                    self._v1[each] = _upwards(f"{mount}/{each}", path)

    def cpu_quota(self) -> float:
        """CPUs' worth of time that we may use, `inf` without a quota."""
        v2 = [_cpus(folder, "cpu.max") for folder in self._v2]
        v1 = [_cpus(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us") for folder in self._v1["cpu"]]
        return min([*v2, *v1], default=INF)

    def throttled(self) -> float:
        """Seconds for which we were kept from running by a quota, summed over the CPUs."""
        v2 = [(_number(f"{folder}/cpu.stat", b"throttled_usec") or 0) / 1e6 for folder in self._v2]
        v1 = [(_number(f"{folder}/cpu.stat", b"throttled_time") or 0) / 1e9 for folder in self._v1["cpu"]]
        return max([*v2, *v1], default=0.0)

    def memory_limit(self) -> float:
        """Bytes, `inf` without a limit."""
        return min((limit for limit, _ in self._memory()), default=INF)

    def memory_room(self) -> float:
        """Bytes until the limit, `inf` without one; what the kernel can drop at once from its cache is room."""
        return min((limit - usage for limit, usage in self._memory() if limit < INF), default=INF)

    def oom_kills(self) -> int:
        """How many processes of our group the kernel has ever killed for want of memory."""
        paths = [f"{folder}/memory.events" for folder in self._v2]
        paths += [f"{folder}/memory.oom_control" for folder in self._v1["memory"]]
        return next((count for path in paths if (count := _number(path, b"oom_kill")) is not None), 0)

    def _memory(self) -> list[tuple[float, int]]:
        """Limit and usage of each group that has both."""
        v2, v1 = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
        found = [_limit(folder, *v2, b"inactive_file") for folder in self._v2]
        found += [_limit(folder, *v1, b"total_inactive_file") for folder in self._v1["memory"]]
        return [each for each in found if each is not None]


class OomKills:
    """The kills for want of memory since this was made."""

    def __init__(self, cgroup: Cgroup | None = None) -> None:
        self._cgroup = cgroup or Cgroup()
        self._before = self._cgroup.oom_kills()

    def have_grown(self) -> bool:
        """Whether there were any."""
        return self._cgroup.oom_kills() > self._before

    def claim(self) -> bool:
        """Whether there was one that nobody has claimed yet; it is claimed now."""
        if not self.have_grown():
            return False
        self._before += 1
        return True


def _upwards(mount: str, path: str) -> list[str]:
    """Return the folder of a group and those above it, the innermost first."""
    names = [name for name in path.split("/") if name]
    return ["/".join([mount, *names[:depth]]) for depth in range(len(names), -1, -1)]


def _cpus(folder: str, *files: str) -> float:
    """Translate a quota and its period, both in microseconds, out of one file or two."""
    match [word for file in files for word in _words(f"{folder}/{file}")]:
        case [quota, period] if quota.isdigit() and period.isdigit() and int(quota) and int(period):
            return int(quota) / int(period)
    return INF  # "max", -1, or not there


def _limit(folder: str, limit_file: str, usage_file: str, cache: bytes) -> tuple[float, int] | None:
    limit, usage = _words(f"{folder}/{limit_file}"), _words(f"{folder}/{usage_file}")
    if not (limit and usage):
        return None
    bound = int(limit[0]) if limit[0].isdigit() else UNLIMITED
    dropped = _number(f"{folder}/memory.stat", cache) or 0
    return (bound if bound < UNLIMITED else INF), max(int(usage[0]) - dropped, 0)


def _number(path: str, key: bytes) -> int | None:
    """Return the number behind a key, None if there is none."""
    for line in _lines(path):
        if line.startswith(key + b" "):
            return int(line.split()[1])
    return None


def _words(path: str) -> list[bytes]:
    return b" ".join(_lines(path)).split()


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read().splitlines()
    except OSError:
        return []
