"""Durations and times as users give them: seconds or a ``timedelta``, and aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

from asyncjobs.core.bounds import MAX_DURATION_MS, shown
from asyncjobs.errors import ArgumentsError

__all__ = ["Duration", "due_ms", "to_ms", "ttl_ms", "unix_ms", "utc_time"]

Duration = float | timedelta
"""A time span as users give it: seconds, or a ``timedelta``."""

_MAX_SECONDS = MAX_DURATION_MS // 1_000
_MAX_TEXT = f"{_MAX_SECONDS // 86_400:,} days (100 years)"
_EPOCH = datetime.fromtimestamp(0, UTC)

# The first and the last millisecond of a datetime.
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def to_ms(name: str, value: object, *, least_ms: int = 0) -> int:
    """Return a duration in whole milliseconds.

    Args:
        name: The name of the option, for the error.
        value: Seconds or a ``timedelta``.
        least_ms: The shortest duration that is accepted, in milliseconds.

    Raises:
        ArgumentsError: ``value`` is no duration, shorter than ``least_ms``, or longer than ``MAX_DURATION_MS``.
    """
    seconds: float
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
        seconds = value
    else:
        raise ArgumentsError(f"{name}={shown(value)}: expected seconds or a timedelta")
    if seconds > _MAX_SECONDS:
        raise ArgumentsError(f"{name}={shown(value)}: expected at most {_MAX_TEXT}, or {_MAX_SECONDS:,} s")
    if seconds < 0:
        raise ArgumentsError(f"{name}={shown(value)}: expected at least {least_ms / 1000:g} s")
    milliseconds = round(seconds * 1000)
    if milliseconds < least_ms:
        raise ArgumentsError(f"{name}={shown(value)}: expected at least {least_ms / 1000:g} s")
    return milliseconds


def ttl_ms(name: str, value: object) -> int:
    """Return for how long to keep something, in milliseconds: as ``to_ms`` does, and a hundred years for ``inf``."""
    return MAX_DURATION_MS if isinstance(value, float) and value == float("inf") else to_ms(name, value)


def due_ms(when: object, verb: str, instead: str, now_ms: int) -> int:
    """Return an aware datetime in Unix milliseconds.

    Args:
        when: The datetime.
        verb: The method that was called with it, for the error.
        instead: What takes a delay, for the error.
        now_ms: The time, in Unix milliseconds.

    Raises:
        ArgumentsError: ``when`` is no datetime, a naive one, or more than ``MAX_DURATION_MS`` ahead.
    """
    if isinstance(when, timedelta | int | float):
        raise ArgumentsError(f"{verb} takes a datetime, not {shown(when)}; for a delay use {instead}")
    if not isinstance(when, datetime):
        raise ArgumentsError(f"{verb} takes an aware datetime, not {shown(when)}")
    at_ms = unix_ms(when)
    if at_ms is None:
        raise ArgumentsError(
            f"{verb} was given the naive datetime {shown(when)}, whose time zone is unknown; give it one, as in "
            "datetime.now(UTC) or when.replace(tzinfo=ZoneInfo('Europe/Berlin'))"
        )
    if at_ms - now_ms > MAX_DURATION_MS:
        raise ArgumentsError(f"{verb} was given {when.isoformat()}: expected a time at most {_MAX_TEXT} from now")
    return at_ms


def unix_ms(when: object) -> int | None:
    """Return an aware datetime in Unix milliseconds; ``None`` for anything else, as for one whose zone fails."""
    try:
        is_aware = isinstance(when, datetime) and when.utcoffset() is not None
        return round((when - _EPOCH) / timedelta(milliseconds=1)) if is_aware else None  # type: ignore[operator]
    except Exception:
        return None


@overload
def utc_time(at_ms: int) -> datetime: ...
@overload
def utc_time(at_ms: int | None) -> datetime | None: ...
def utc_time(at_ms: int | None) -> datetime | None:
    """Return Unix milliseconds as a datetime in UTC, and ``None`` for ``None``.

    A time that no datetime can hold, as another program may have stored it, is the nearest one.
    """
    return None if at_ms is None else datetime.fromtimestamp(min(max(at_ms, _FIRST_MS), _LAST_MS) / 1000, UTC)
