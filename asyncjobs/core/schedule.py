"""When a schedule fires: cron and intervals, time zones, daylight saving, and what becomes of missed ticks.

Cron expressions are those of cronsim, which follows Debian's cron: five fields, or six with seconds first. A fixed time
that falls into the hour skipped in spring fires right after that hour. A fixed time in the hour repeated in autumn
fires once. Expressions with a ``*`` for minute or hour go by elapsed time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal, NamedTuple

import msgspec

from asyncjobs.core.bounds import MAX_DURATION_MS, shown
from asyncjobs.core.duration import to_ms, utc_time
from asyncjobs.core.package import install_command
from asyncjobs.core.priority import Priority
from asyncjobs.core.uniqueness import UniqueRule
from asyncjobs.errors import ArgumentsError, ConfigurationError

__all__ = [
    "MISSED_AFTER_MS",
    "SCHEDULE_HEADER",
    "TICK_HEADER",
    "TIMING_OPTIONS",
    "Due",
    "Missed",
    "Schedule",
    "Timing",
    "due_ticks",
    "next_tick",
    "timing_of",
    "upcoming",
]

Missed = Literal["once", "skip", "all"]
"""Which missed ticks of a schedule fire: the latest (``once``), none (``skip``), or each (``all``)."""

#: Headers of a job that a schedule has made: the schedule's id, and the tick in Unix milliseconds.
SCHEDULE_HEADER = "schedule"
TICK_HEADER = "tick"

#: A tick counts as missed once it is due for so long, in milliseconds; ``skip`` then leaves it out.
MISSED_AFTER_MS = 60_000

#: The options of ``@job`` of which its timing is made.
TIMING_OPTIONS = ("cron", "every", "timezone", "missed", "overlap", "at_start", "every_worker")
_OF_A_SCHEDULE = ("overlap", "at_start", "every_worker")

# No tick is shown that is later than the year 9998, since the year 10000 may have begun in its time zone.
_LAST_TICK_MS = 253_370_764_800_000

_NO_TIME = timedelta()
_DAY_S = 86_400

# Clocks are set back by two hours at most (in Antarctica/Troll).
_MAX_SHIFT_S = 7_200

_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Timing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a schedule fires: by a cron expression, or at an interval."""

    cron: str = ""
    """The cron expression, empty for an interval."""
    every_ms: int = 0
    """The interval in milliseconds, counted from 1970; 0 for a cron expression."""
    timezone: str = "UTC"
    """The time zone of ``cron``, by its IANA name."""
    missed: Missed = "once"
    """Which ticks fire that came while no worker was there: the latest (``once``), none that is older than a minute
    (``skip``), or each (``all``)."""
    bound: int = 100
    """How many missed ticks fire at most, with ``all``; the latest."""
    overlap: bool = True
    """Whether a tick fires while the job of the tick before is still live."""
    at_start: bool = False
    """Whether it fires at the start of a worker too."""
    every_worker: bool = False
    """Whether each worker runs the job by itself at each tick, in place of one worker."""

    @classmethod
    def of(
        cls,
        *,
        cron: str | None = None,
        every_ms: int | None = None,
        timezone: str = "UTC",
        missed: str = "once",
        bound: int = 100,
        overlap: bool = True,
        at_start: bool = False,
        every_worker: bool = False,
    ) -> Timing:
        """Return the timing that a user asks for.

        Args:
            cron: The cron expression; or ``every_ms``.
            every_ms: The interval in milliseconds.
            timezone: The time zone of ``cron``, by its IANA name.
            missed: Which missed ticks fire.
            bound: How many of them at most, with ``all``.
            overlap: Whether a tick fires while the job of the tick before is live.
            at_start: Whether it fires at the start of a worker too.
            every_worker: Whether each worker runs the job by itself.

        Raises:
            ArgumentsError: A value is wrong. The message names the option.
            ConfigurationError: ``cron`` is used without the package cronsim.
        """
        if (cron is None) == (every_ms is None):
            raise ArgumentsError("a schedule has either cron='0 8 * * *' or every=timedelta(minutes=5)")
        if not isinstance(missed, str) or missed not in ("once", "skip", "all"):
            raise ArgumentsError(f"missed={shown(missed)}: expected 'once', 'skip' or 'all'")
        if isinstance(bound, bool) or not isinstance(bound, int) or not 1 <= bound <= 1_000:
            raise ArgumentsError(f"bound={shown(bound)}: expected a whole number from 1 to 1000")
        for name, given in (("overlap", overlap), ("at_start", at_start), ("every_worker", every_worker)):
            if not isinstance(given, bool):
                raise ArgumentsError(f"{name}={shown(given)}: expected True or False")
        if missed == "all" and not overlap:
            raise ArgumentsError(
                "missed='all' with overlap=False: the missed ticks would overlap; expected 'once' or 'skip'"
            )
        if missed != "once" and every_worker:
            raise ArgumentsError(f"missed={missed!r} with every_worker=True: a worker that isn't there misses no tick")
        if not isinstance(cron, str | None):
            raise ArgumentsError(f"cron={shown(cron)}: expected text such as '0 8 * * *'")
        if not isinstance(timezone, str):
            raise ArgumentsError(f"timezone={shown(timezone)}: expected an IANA name such as 'Europe/Berlin'")
        timing = cls(
            cron=cron or "",
            every_ms=every_ms or 0,
            timezone=timezone,
            missed=missed,  # type: ignore[arg-type]  # checked above
            bound=bound,
            overlap=overlap,
            at_start=at_start,
            every_worker=every_worker,
        )
        _zone(timezone)
        if cron is not None:
            _simulated(timing, datetime(2026, 1, 1, tzinfo=UTC))
        return timing


def timing_of(given: Mapping[str, Any]) -> Timing | None:
    """Return the timing that the options of ``@job`` ask for; ``None`` if they ask for none.

    Raises:
        ArgumentsError: A value is wrong. The message names the option.
    """
    cron, every = given.get("cron"), given.get("every")
    if cron is None and every is None:
        for name in _OF_A_SCHEDULE:
            if name in given:
                raise ArgumentsError(f"{name}={shown(given[name])}: the job has no schedule; give it cron= or every=")
        return None
    return Timing.of(
        cron=cron,
        every_ms=None if every is None else to_ms("every", every, least_ms=1_000),
        timezone=given.get("timezone", "UTC"),
        missed=given.get("missed", "once"),
        **{name: given[name] for name in _OF_A_SCHEDULE if name in given},
    )


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One schedule as it is stored: when it fires, and the job that each tick makes anew."""

    id: str
    """Its id, which is unique in its queue; with its tenant, as in ``@acme:nightly``."""
    name: str
    """The job name."""
    timing: Timing
    """When it fires."""
    body: bytes
    """The envelope of a job sent at Unix time 0, so that the same schedule always has the same bytes. Its
    ``expires_at_ms`` is how long the job of a tick may wait."""
    priority: int = Priority.NORMAL.value
    """The priority of its jobs."""
    tenant: str = ""
    """The tenant of its jobs, empty if they have none."""
    acks_early: bool = False
    """Whether its jobs are never run twice."""
    from_code: bool = False
    """Whether it belongs to a ``@job(cron=…)`` rather than having been added at run time."""
    unique: UniqueRule | None = None
    """Which jobs those of its ticks must not stand beside, with a key that stands for their arguments alone."""


class Due(NamedTuple):
    """What a schedule has to do at one moment."""

    fire: list[int]
    """The ticks to fire, in Unix milliseconds."""
    next_ms: int
    """The tick to go on with, in Unix milliseconds."""


def due_ticks(timing: Timing, next_ms: int, now_ms: int) -> Due:
    """Return the ticks to fire now, by the rule of ``missed``.

    A clock that was set back changes nothing: no tick before ``next_ms`` comes up again.

    Args:
        timing: The timing of the schedule.
        next_ms: The next tick as it is stored, in Unix milliseconds.
        now_ms: The time, in Unix milliseconds.
    """
    if now_ms < next_ms:
        return Due([], next_ms)
    most = timing.bound if timing.missed == "all" else 1
    missed = itertools.takewhile(lambda tick: tick >= next_ms, _ticks_before(timing, now_ms))
    fire = list(itertools.islice(missed, most))[::-1]
    # The stored tick itself, where a change of time zone rules has moved it since.
    fire = fire or [next_ms]
    after_ms = next_tick(timing, max(now_ms, fire[-1]))
    if timing.missed == "skip" and now_ms - fire[-1] > MISSED_AFTER_MS:
        fire = []
    return Due(fire, after_ms)


def next_tick(timing: Timing, after_ms: int) -> int:
    """Return the first tick after ``after_ms``, in Unix milliseconds, at most ``MAX_DURATION_MS`` later."""
    return min(next(_ticks_after(timing, after_ms)), after_ms + MAX_DURATION_MS)


def upcoming(timing: Timing, after_ms: int, count: int) -> list[datetime]:
    """Return the next ``count`` ticks after ``after_ms`` (Unix milliseconds), in the schedule's time zone."""
    zone = _zone(timing.timezone)
    ticks = itertools.islice(_ticks_after(timing, after_ms), count)
    return [utc_time(tick).astimezone(zone) for tick in itertools.takewhile(lambda tick: tick <= _LAST_TICK_MS, ticks)]


def _ticks_after(timing: Timing, after_ms: int) -> Iterator[int]:
    if timing.every_ms:
        first = after_ms - after_ms % timing.every_ms + timing.every_ms
        yield from itertools.count(first, timing.every_ms)
    last_ms = after_ms
    for second in _cron_ticks(timing, after_ms // 1000):
        # Two times in the skipped hour fall on the same tick after it. The simulation of fixed times goes by the clock
        # on the wall, so in the repeated hour it may begin with a tick that is past.
        if second * 1000 > last_ms:
            last_ms = second * 1000
            yield last_ms


def _ticks_before(timing: Timing, until_ms: int) -> Iterator[int]:
    """Yield the ticks up to ``until_ms``, the latest first."""
    if timing.every_ms:
        yield from itertools.count(until_ms - until_ms % timing.every_ms, -timing.every_ms)
    last_ms = until_ms + 1
    # The simulation does not yield its start.
    for second in _cron_ticks(timing, until_ms // 1000 + 1, reverse=True):
        if second * 1000 < last_ms:
            last_ms = second * 1000
            yield last_ms


def _cron_ticks(timing: Timing, start: int, *, reverse: bool = False) -> Iterator[int]:
    """Yield the ticks after ``start``, or before it, all in Unix seconds; some may lie on the other side of it."""
    zone = _zone(timing.timezone)
    if _goes_by_elapsed_time(timing):
        return _elapsed_ticks(timing, zone, start, reverse)
    if reverse and _offset(zone, start) < _offset(zone, start - _MAX_SHIFT_S):
        # After the clocks went back, the wall shows times that have been before.
        start += _MAX_SHIFT_S
    return (
        round(tick.timestamp()) for tick in _simulated(timing, datetime.fromtimestamp(start, zone), reverse=reverse)
    )


def _goes_by_elapsed_time(timing: Timing) -> bool:
    fields = _expression(timing).split()
    return len(fields) != 5 or fields[0].startswith("*") or fields[1].startswith("*")


def _elapsed_ticks(timing: Timing, zone: tzinfo, start: int, reverse: bool) -> Iterator[int]:
    """Yield the ticks of an expression that goes by elapsed time.

    From one change of the clocks to the next, the clock on the wall runs as that of UTC does. So the simulation sees no
    change: it loses ticks at those that are no full hours.
    """
    step = -1 if reverse else 1
    while True:
        offset = _offset(zone, start + step)
        wall = datetime.fromtimestamp(start, UTC) + timedelta(seconds=offset)
        for tick in _simulated(timing, wall, reverse=reverse):
            second = round(tick.timestamp()) - offset
            change = _change(zone, start, second, offset)
            if change is not None:
                start = change - step
                break
            start = second
            yield second
        else:
            return


def _change(zone: tzinfo, start: int, end: int, offset: int) -> int | None:
    """Return the first second behind ``start``, up to ``end``, at which the offset of ``zone`` is not ``offset``."""
    step = _DAY_S if start < end else -_DAY_S
    for before in range(start, end, step):
        after = min(before + step, end) if step > 0 else max(before + step, end)
        if _offset(zone, after) == offset:
            continue
        while abs(after - before) > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if _offset(zone, middle) == offset else (before, middle)
        return after
    return None


def _offset(zone: tzinfo, second: int) -> int:
    """Return by how many seconds the clocks of ``zone`` are ahead of UTC at a Unix time."""
    return round((datetime.fromtimestamp(second, zone).utcoffset() or _NO_TIME).total_seconds())


def _expression(timing: Timing) -> str:
    return _NAMES.get(timing.cron.strip().lower(), timing.cron)


def _simulated(timing: Timing, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        raise ConfigurationError(
            f"cron={timing.cron!r} needs cronsim: {install_command('cron')}, or use every=timedelta(…)"
        ) from None
    try:
        simulated: Any = CronSim(_expression(timing), start, reverse=reverse)
    except CronSimError as error:
        raise ArgumentsError(
            f"cron={shown(timing.cron)}: {error}; expected five fields (minute hour day month weekday), six with "
            f"seconds first, or one of {', '.join(_NAMES)}"
        ) from None
    ticks: Iterator[datetime] = simulated
    return ticks


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    # Most schedules are in UTC; sysconfig, which it imports, is large.
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, TypeError, OSError):
        raise ArgumentsError(
            f"timezone={shown(name)}: expected an IANA name such as 'Europe/Berlin'; on a system without time zone "
            "data, install tzdata"
        ) from None
