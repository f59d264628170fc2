"""Durations as users give them: seconds, or a ``timedelta``."""

from __future__ import annotations

import math
from datetime import timedelta

from asyncjobs.errors import ArgumentsError

__all__ = ["Duration", "to_ms"]

Duration = float | timedelta


def to_ms(name: str, value: object, *, least_ms: int = 0) -> int:
    """Return ``value`` (seconds or ``timedelta``) in whole milliseconds.

    Raises ``ArgumentsError``, naming the setting ``name``, for anything else or less than ``least_ms``.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        seconds = value
    else:
        raise ArgumentsError(f"{name}={value!r}: expected seconds or a timedelta")
    milliseconds = round(seconds * 1000)
    if milliseconds < least_ms:
        raise ArgumentsError(f"{name}={value!r}: expected at least {least_ms / 1000:g} s")
    return milliseconds
