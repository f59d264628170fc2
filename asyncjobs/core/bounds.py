"""The bounds of durations and counts, one of each for all that users give and that stored data holds.

What a user gives beyond a bound is refused at the call. What reaches a broker all the same, from a policy or from
stored data, is clamped there, so that it spoils neither its job nor others. Within the bounds every number, and every
sum of a time and a duration, has less than 15 digits, so Lua writes it out in full, and is before the year 10000.
"""

from __future__ import annotations

from asyncjobs.errors import ArgumentsError

__all__ = ["MAX_COUNT", "MAX_DURATION_MS", "bounded_ms", "checked_count", "shown"]

#: The longest duration, and how far ahead of now a time may be: 100 years, in milliseconds.
MAX_DURATION_MS = 36_525 * 86_400_000

#: The largest count.
MAX_COUNT = 1_000_000_000

_MAX_SHOWN = 80


def shown(value: object) -> str:
    """Return ``value`` as an error shows it: its ``repr``, cut short, or its type if it has none."""
    try:
        return repr(value)[:_MAX_SHOWN]
    except Exception:
        # Python writes out no integer of more than 4,300 digits.
        return f"<{type(value).__qualname__}>"


def bounded_ms(duration_ms: int) -> int:
    """Return ``duration_ms``, or the nearest duration from 0 to ``MAX_DURATION_MS``."""
    return min(max(duration_ms, 0), MAX_DURATION_MS)


def checked_count(name: str, given: object, *, least: int = 0) -> int:
    """Return ``given``, a whole number from ``least`` to ``MAX_COUNT``.

    Args:
        name: The name of the option, for the error.
        given: What a user gave for it.
        least: The smallest number that is accepted.

    Raises:
        ArgumentsError: It is no such number.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ArgumentsError(f"{name}={shown(given)}: expected a whole number, {least} or more")
    if given > MAX_COUNT:
        raise ArgumentsError(f"{name}={shown(given)}: expected at most {MAX_COUNT:,}")
    return int(given)
