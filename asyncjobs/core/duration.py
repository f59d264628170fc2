"""Durations and times as users give them: seconds or a ``timedelta``, and aware datetimes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import overload

from asyncjobs.errors import ArgumentsError

__all__ = ["Duration", "due_ms", "to_ms", "utc_time"]

Duration = float | timedelta


def to_ms(name: str, value: object, *, least_ms: int = 0) -> int:
    """Return a duration in whole milliseconds.

    Args:
        name: The name of the option, for the error.
        value: Seconds or a ``timedelta``.
        least_ms: The shortest duration that is accepted, in milliseconds.

    Raises:
        ArgumentsError: ``value`` is no duration, or shorter than ``least_ms``.
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


def due_ms(when: object, verb: str, instead: str) -> int:
    """Return an aware datetime in Unix milliseconds.

    Args:
        when: The datetime.
        verb: The method that was called with it, for the error.
        instead: What takes a delay, for the error.

    Raises:
        ArgumentsError: ``when`` is no datetime, or a naive one.
    """
    if isinstance(when, timedelta | int | float):
        raise ArgumentsError(f"{verb} takes a datetime, not {when!r}; for a delay use {instead}")
    if not isinstance(when, datetime):
        raise ArgumentsError(f"{verb} takes an aware datetime, not {when!r:.80}")
    if when.tzinfo is None or when.utcoffset() is None:
        raise ArgumentsError(
            f"{verb} was given the naive datetime {when.isoformat()}, whose time zone is unknown; give it one, as in "
            "datetime.now(UTC) or when.replace(tzinfo=ZoneInfo('Europe/Berlin'))"
        )
    return round(when.timestamp() * 1000)


@overload
def utc_time(at_ms: int) -> datetime: ...
@overload
def utc_time(at_ms: int | None) -> datetime | None: ...
def utc_time(at_ms: int | None) -> datetime | None:
    """Return Unix milliseconds as a datetime in UTC, and ``None`` for ``None``."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
