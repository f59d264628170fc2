"""How values stand in a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from asyncjobs.admin.dashboard.audited import place_of
from asyncjobs.admin.dashboard.charts import spark
from asyncjobs.admin.dashboard.outward import outward
from asyncjobs.app.turns import group_of_tenant
from asyncjobs.app.verbs.schedules import ScheduleInfo
from asyncjobs.core.duration import utc_time
from asyncjobs.core.text import is_harmless

__all__ = ["FILTERS", "in_time_zone", "visible"]

MAX_SHOWN = 64 * 1024
"""How many characters of one value a page shows."""

MAX_BRIEF = 200
"""How many characters of the arguments of a job stand in a row."""


def visible(value: Any) -> Any:
    """Return text with what can't be seen, or changes how the rest is seen, written out as in ``\\u202e``."""
    if not isinstance(value, str) or hasattr(value, "__html__") or value.isprintable():
        return value
    return "".join(one if one in "\n\t" or is_harmless(one) else repr(one)[1:-1] for one in value)


def exact(value: Any) -> Markup:
    """Return the value of a hidden field as it is to come back, with what can't be seen as character references.

    HTML has no references to controls, which are written out as elsewhere.
    """
    return Markup("".join(one if one in "\n\t" or is_harmless(one) else _referred(one) for one in escape(str(value))))


def _referred(character: str) -> str:
    return repr(character)[1:-1] if unicodedata.category(character) in ("Cc", "Cs") else f"&#{ord(character)};"


def number(value: int | float | None) -> str:
    """Return a number with separators, a dash for none."""
    return "–" if value is None else f"{value:,.0f}"


def duration(ms: float | None) -> str:
    """Return a duration in milliseconds in the unit that fits."""
    if ms is None:
        return "–"
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if ms >= size:
            amount = ms / size
            return f"{amount:.1f}".removesuffix(".0") + f" {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{ms:.1f}".removesuffix(".0") + " ms" if ms < 10 else f"{ms:.0f} ms"


def ago(at: datetime, now: datetime) -> str:
    """Return how long before or after ``now`` a time is."""
    ms = (now - at).total_seconds() * 1000
    return f"in {duration(-ms)}" if ms < 0 else f"{duration(ms)} ago"


def in_time_zone(at: datetime, zone: tzinfo) -> datetime:
    """Return a time in ``zone``; in its own zone where that one has no such time, at the ends of the calendar."""
    try:
        return at.astimezone(zone)
    except (OverflowError, ValueError):
        return at


@pass_context
def when(context: Context, at: datetime) -> str:
    """Return a time to the second, with its zone, in the time zone that the viewer has chosen."""
    return f"{in_time_zone(at, context['choices'].tz):%Y-%m-%d %H:%M:%S %Z}"


def in_zone(at: datetime, zone: str) -> str:
    """Return a time to the minute in the time zone of this name; empty where this machine doesn't know it."""
    try:
        return f"{in_time_zone(at, ZoneInfo(zone)):%Y-%m-%d %H:%M %Z}"
    except (ZoneInfoNotFoundError, ValueError):
        return ""


@pass_context
def clock(context: Context, at: datetime) -> str:
    """Return a time of today to the second, in the time zone that the viewer has chosen."""
    return f"{in_time_zone(at, context['choices'].tz):%H:%M:%S}"


def as_json(value: Any) -> str:
    """Return ``value`` as indented JSON, cut where it is too long for a page."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}\n… {len(text) - MAX_SHOWN:,} characters more"


def brief(arguments: Mapping[str, Any]) -> str:
    """Return arguments on one line, as they stand in a call, cut where they are too long for a row."""
    shown, left = [], MAX_BRIEF
    for name, value in arguments.items():
        if left <= 0:
            break
        # A long text is cut before it is written out.
        text = repr(value[:left]) if isinstance(value, str) else msgspec.json.encode(value).decode()
        shown.append(f"{name}={text}"[:left])
        left -= len(shown[-1]) + 2
    text = ", ".join(shown)
    return text if left > 0 else f"{text[: MAX_BRIEF - 1]}…"


def at(ms: int) -> datetime | None:
    """Return a time in Unix milliseconds as a time."""
    return utc_time(ms)


def size(count: int) -> str:
    """Return a number of bytes in the unit that fits."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            amount = count / factor
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{count} bytes"


def in_words(schedule: ScheduleInfo) -> str:
    """Return when a schedule fires, in words; empty where its expression can't be told so."""
    if not schedule.cron:
        return ""
    try:
        # Whoever has added it had the package, and its library has read the expression.
        from cronsim import CronSim

        return str(CronSim(schedule.cron, datetime.now(UTC)).explain())
    except Exception:
        return ""


FILTERS: Sequence[Callable[..., Any]] = (
    ago,
    as_json,
    at,
    brief,
    clock,
    duration,
    exact,
    group_of_tenant,
    in_words,
    in_zone,
    number,
    outward,
    place_of,
    size,
    spark,
    when,
)
"""The filters of templates."""
