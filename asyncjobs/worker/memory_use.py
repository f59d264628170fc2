"""How much memory this process uses."""

from __future__ import annotations

import os

__all__ = ["resident_bytes"]


def resident_bytes() -> int:
    """Return the resident set size of this process in bytes; 0 where the system doesn't tell, as outside of Linux."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
