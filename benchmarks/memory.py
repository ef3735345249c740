"""How much memory a process has, from Linux's /proc."""

from __future__ import annotations

import re
from pathlib import Path


def resident(pid: int | str = "self") -> float:
    """Megabytes (10**6 bytes) of memory that a process has now."""
    return _megabytes(pid, "VmRSS")


def peak(pid: int | str = "self") -> float:
    """The most megabytes it ever had; getrusage would count its parent's at the fork."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int | str, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else 0.0
