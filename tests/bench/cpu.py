"""CPU time of other processes."""

import time
from collections.abc import Iterable, Mapping

_SCHEDULER_CLOCK = 2

Pids = Mapping[str, Iterable[int]]
"""The processes of each part."""


def cpu_ns(pid: int) -> int:
    """What a process has used, all its threads together: the sum of utime and stime in /proc/PID/stat, which is rounded
    to 10 ms there. The clock id is that of clock_getcpuclockid(3)."""
    return time.clock_gettime_ns((~pid << 3) | _SCHEDULER_CLOCK)


def used_ns(parts: Pids) -> dict[str, int]:
    """What each part has used."""
    return {part: sum(map(cpu_ns, pids)) for part, pids in parts.items()}


def since_us(before: Mapping[str, int], parts: Pids) -> dict[str, float]:
    """What each part has used since, in µs."""
    return {part: (now - before[part]) / 1000 for part, now in used_ns(parts).items()}
