"""How many processors this process may use: its affinity and its control group's quota.

ONNX Runtime counts those of the host, container or not (microsoft/onnxruntime#29510), and then
runs more threads than there are processors. Nothing here is needed where neither affinity nor
control groups exist (macOS, Windows).
"""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable(system: Path = Path("/")) -> int:
    """Return the number of processors, at least 1. `system` is where /proc and /sys are looked
    for."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, math.ceil(min(processors, _quota_v2(system), _quota_v1(system))))


def _quota_v2(system: Path) -> float:
    """Return the least quota of this process's control group and its parents (kernel.org,
    cgroup-v2, cpu.max)."""
    group = next(
        (line[3:] for line in _lines(system / "proc/self/cgroup") if line[:3] == "0::"), "/"
    )
    root = system / "sys/fs/cgroup"
    folder = root / group.lstrip("/")
    # Inside a container the path may be the host's; the container's own limits then stand at the
    # root.
    folders = [folder, *folder.parents] if folder.is_dir() else [root]
    return min(
        (
            _ratio(*words)
            for folder in folders
            if folder.is_relative_to(root)
            for words in (line.split() for line in _lines(folder / "cpu.max"))
            if len(words) == 2
        ),
        default=math.inf,
    )


def _quota_v1(system: Path) -> float:
    folder = system / "sys/fs/cgroup/cpu"
    quota, period = _lines(folder / "cpu.cfs_quota_us"), _lines(folder / "cpu.cfs_period_us")
    return _ratio(quota[0], period[0]) if quota and period else math.inf


def _ratio(quota: str, period: str) -> float:
    """Return quota / period, infinite where the quota is "max" (version 2) or -1 (version 1)."""
    try:
        ratio = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return math.inf
    return ratio if ratio > 0 else math.inf


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
