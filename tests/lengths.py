"""How long the tests go on that draw by chance, or look at the same page in many ways."""

from __future__ import annotations

import os

__all__ = ["length"]


def length(ordinary: int, whole: int) -> int:
    """Return the length for each change, or the whole one of `nox -s soak`."""
    return whole if os.environ.get("SOAK") else ordinary
