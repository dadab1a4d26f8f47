"""How long a CPU quota held back the process's control group, versions 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from framescope.probes.kernel_file import KernelFile

RESOLVE_EVERY_NS: Final = 10_000_000_000
"""A process seldom changes its group, and limits seldom change: looked up again at this pace."""

Version = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class CgroupReading:
    """Cumulative and never falling, also when the process changes its group; ``time_ns`` is monotonic.

    ``throttled_ns`` is the kernel's sum over CPUs, so that it may grow faster than the clock.
    ``limit_cpus`` is the tightest quota on the way up, in CPUs; ``None``: there is none, so that nothing is
    held back.
    """

    time_ns: int
    throttled_ns: int
    limit_cpus: float | None = None


@dataclass(frozen=True, slots=True)
class _Limited:
    """A group that has a quota: where its counters are, and the quota in CPUs."""

    counters: KernelFile
    version: Version
    cpus: float


class CgroupProbe:
    """Reads the group of process ``pid`` and every limited group above it. ``unavailable`` says why not."""

    name = "cgroup"

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._pid = pid
        self._root = root
        self._limited: list[_Limited] = []
        self._looked = False
        """Whether the process's group was found, limited or not."""
        self._resolve_due_ns: int | None = None
        self._seen: dict[Path, int] = {}
        self._total_ns = 0
        self._told = False
        self.unavailable: str | None = None

    def read(self, now_ns: int) -> CgroupReading | None:
        """The throttled time so far; ``None`` where that cannot be read. Raises nothing."""
        if self._resolve_due_ns is None or now_ns >= self._resolve_due_ns:
            self._resolve_due_ns = now_ns + RESOLVE_EVERY_NS
            self.close()
            self._limited = self._resolve()
        amounts = {group.counters.path: _throttled(group) for group in self._limited}
        known = {path: amount for path, amount in amounts.items() if amount is not None}
        if not (known or (self._looked and not self._limited)):
            return None
        for path, amount in known.items():
            # A group that is met later counts from there on: its past is not what was just lost.
            before = self._seen.get(path, amount if self._told else 0)
            self._total_ns += max(0, amount - before)
        self._seen.update(known)
        self._told = True
        limit = min((group.cpus for group in self._limited), default=None)
        return CgroupReading(now_ns, self._total_ns, limit)

    def close(self) -> None:
        for group in self._limited:
            group.counters.close()
        self._limited = []

    def _resolve(self) -> list[_Limited]:
        self._looked = False
        try:
            membership = (self._root / f"proc/{self._pid}/cgroup").read_text(errors="replace")
            mounts = (self._root / "proc/self/mountinfo").read_text(errors="replace")
        except OSError as error:
            self.unavailable = f"control groups: {error.strerror or error}"
            return []
        limited: list[_Limited] = []
        try:
            for version, path in parse_membership(membership):
                for mount in parse_mounts(mounts):
                    if mount.version == version:
                        limited += self._limited_on_the_way(mount, path)
        except (OSError, ValueError) as error:
            self.unavailable, self._looked = f"control groups: {error}", False
            return []
        self.unavailable = None
        if not limited:
            self.unavailable = "no CPU quota is set" if self._looked else "control groups are not mounted"
        return limited

    def _limited_on_the_way(self, mount: Mount, path: str) -> list[_Limited]:
        top = self._root / mount.point.lstrip("/")
        folder = top / below(mount.root, path)
        found: list[_Limited] = []
        self._looked = self._looked or folder.is_dir()
        while folder == top or top in folder.parents:
            cpus = _quota(folder, mount.version)
            if cpus is not None:
                found.append(_Limited(KernelFile(folder / "cpu.stat"), mount.version, cpus))
            if folder == top:
                break
            folder = folder.parent
        return found


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy that controls CPU: the group it shows as its root, and where it is mounted."""

    version: Version
    root: str
    point: str


def parse_membership(text: str) -> list[tuple[Version, str]]:
    """The groups in ``/proc/PID/cgroup`` that can limit CPU: version and path."""
    groups: list[tuple[Version, str]] = []
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not separator or not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            groups.append((2, path))
        elif "cpu" in controllers.split(","):
            groups.append((1, path))
    return groups


def parse_mounts(text: str) -> list[Mount]:
    """The mounts in ``/proc/self/mountinfo`` of hierarchies that can limit CPU."""
    mounts: list[Mount] = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not separator or len(fields) < 6 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            mounts.append(Mount(2, fields[3], fields[4]))
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            mounts.append(Mount(1, fields[3], fields[4]))
    return mounts


def below(mount_root: str, path: str) -> PurePosixPath:
    """A group's place under the mount. One outside what is mounted (a container's) is the mount itself."""
    try:
        place = PurePosixPath(path).relative_to(mount_root)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in place.parts else place


def _quota(folder: Path, version: Version) -> float | None:
    """The quota in CPUs; ``None`` where there is none. Raises ``OSError`` or ``ValueError`` where there may
    be one that cannot be read."""
    names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        told = " ".join((folder / name).read_text(errors="replace") for name in names).split()
    except FileNotFoundError:  # the root of all, and a group that the controller is not switched on for
        return None
    try:
        quota, period = told
        if quota == "max" or int(quota) <= 0:
            return None
        return int(quota) / int(period)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{folder / names[0]} says {' '.join(told)!r}") from error


def _throttled(group: _Limited) -> int | None:
    try:
        return parse_throttled(group.counters.read(), group.version)
    except OSError:
        return None


def parse_throttled(text: str, version: Version) -> int | None:
    """ns a group was throttled, from its ``cpu.stat``; ``None`` where it does not say."""
    name, factor = ("throttled_usec", 1000) if version == 2 else ("throttled_time", 1)
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isascii() and value.strip().isdigit():
            return int(value) * factor
    return None
