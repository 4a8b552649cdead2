"""How many processor cores there are for this process."""

import math
import os
from pathlib import Path

CGROUP_FOLDER = Path("/sys/fs/cgroup")


def available_cores(cgroup_folder: Path = CGROUP_FOLDER) -> int:
    """Processor cores that this process may use, by its affinity and its container's quota."""
    return math.ceil(max(1, min(len(os.sched_getaffinity(0)), cpu_quota(cgroup_folder))))


def cpu_quota(cgroup_folder: Path) -> float:
    """Cores that the control group grants; infinite without a limit. Versions 2 and 1."""
    try:
        quota, period = (cgroup_folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = read_word(cgroup_folder / "cpu/cpu.cfs_quota_us"), "100000"
        period = read_word(cgroup_folder / "cpu/cpu.cfs_period_us") or period
    limited = quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0
    return int(quota) / int(period) if limited else math.inf


def read_word(path: Path) -> str:
    """The content of a one-word file; empty when there is no such file."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
