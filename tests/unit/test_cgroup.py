"""What the files of a cgroup say, v1 and v2, in a container and below a host's root."""

from __future__ import annotations

from math import inf

import pytest

from launcher.supervisor.cgroup import Cgroup, OomKills

MIB = 2**20
V1_UNLIMITED = "9223372036854771712"  # LONG_MAX in whole pages, as the kernel prints it


@pytest.fixture
def group(tmp_path):
    def make(membership: str, files: dict[str, str]) -> Cgroup:
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "mount" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        return Cgroup(str(tmp_path / "mount"), str(tmp_path / "membership"))

    return make


HYBRID = "4:memory:/pod/box\n2:cpu,cpuacct:/pod/box\n1:name=systemd:/\n0::/\n"


class TestCpuQuota:
    @pytest.mark.parametrize(
        ("membership", "files", "quota"),
        [
            ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),
            ("0::/\n", {"cpu.max": "max 100000"}, inf),
            ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
            ("0::/a\n", {"cpu.max": "200000 100000"}, 2),
            (HYBRID, {"cpu/cpu.cfs_quota_us": "150000", "cpu/cpu.cfs_period_us": "100000"}, 1.5),
            (HYBRID, {"cpu/pod/box/cpu.cfs_quota_us": "-1", "cpu/pod/box/cpu.cfs_period_us": "100000"}, inf),
            (HYBRID, {"cpu/pod/cpu.cfs_quota_us": "25000", "cpu/pod/cpu.cfs_period_us": "50000"}, 0.5),
            (HYBRID, {"cpu/cpu.cfs_quota_us": "150000"}, inf),
            ("0::/\n", {"cpu.max": "0 0"}, inf),
            ("0::/\n", {"cpu.max": ""}, inf),
            ("", {}, inf),
        ],
    )
    def test_the_least_on_the_way_up(self, group, membership, files, quota):
        assert group(membership, files).cpu_quota() == quota


class TestThrottled:
    @pytest.mark.parametrize(
        ("membership", "files", "seconds"),
        [
            ("0::/\n", {"cpu.stat": "usage_usec 9\nnr_throttled 2\nthrottled_usec 1500000"}, 1.5),
            ("0::/a\n", {"a/cpu.stat": "throttled_usec 500000", "cpu.stat": "throttled_usec 2000000"}, 2),
            (HYBRID, {"cpu/cpu.stat": "nr_throttled 2\nthrottled_time 1500000000"}, 1.5),
            ("0::/\n", {"cpu.stat": "usage_usec 9"}, 0),
            ("", {}, 0),
        ],
    )
    def test_in_our_group_or_one_above(self, group, membership, files, seconds):
        assert group(membership, files).throttled() == seconds


class TestMemory:
    def test_v2_with_a_tighter_group_above(self, group):
        files = {"a/memory.max": "max", "a/memory.current": "5", "memory.max": "1000", "memory.current": "700"}
        found = group("0::/a\n", {**files, "memory.stat": "anon 600\ninactive_file 100\nactive_file 7"})
        assert found.memory_limit() == 1000
        assert found.memory_room() == 400

    def test_v1_in_a_container_whose_mount_is_its_own_group(self, group):
        limit = {"memory/memory.limit_in_bytes": str(256 * MIB), "memory/memory.usage_in_bytes": str(56 * MIB)}
        found = group(HYBRID, {**limit, "memory/memory.stat": f"total_inactive_file {6 * MIB}"})
        assert found.memory_limit() == 256 * MIB
        assert found.memory_room() == 206 * MIB

    @pytest.mark.parametrize(
        "files",
        [
            {},
            {"memory/memory.limit_in_bytes": V1_UNLIMITED, "memory/memory.usage_in_bytes": "5"},
            {"memory/memory.limit_in_bytes": "1000"},
        ],
    )
    def test_no_limit(self, group, files):
        found = group(HYBRID, files)
        assert (found.memory_limit(), found.memory_room()) == (inf, inf)


class TestOomKills:
    @pytest.mark.parametrize(
        ("membership", "file", "text"),
        [
            ("0::/\n", "memory.events", "low 0\noom 9\noom_kill {}\noom_group_kill 0"),
            ("0::/a\n", "a/memory.events", "oom_kill {}"),
            (HYBRID, "memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}"),
            (HYBRID, "memory/pod/box/memory.oom_control", "oom_kill {}"),
        ],
    )
    def test_each_is_claimed_once(self, group, membership, file, text):
        group(membership, {file: text.format(3)})
        kills = OomKills(group(membership, {}))
        assert not kills.have_grown()
        assert not kills.claim()
        group(membership, {file: text.format(5)})
        assert kills.have_grown()
        assert [kills.claim() for _ in range(3)] == [True, True, False]

    def test_where_nothing_is_counted_nothing_was_killed(self, group):
        assert not OomKills(group("", {})).claim()
        assert not OomKills(group(HYBRID, {"memory/memory.oom_control": "under_oom 0"})).claim()
