"""What the jobs of one queue came to over time: by minute, by hour, and by hour and job name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from asyncjobs.core.retention import (
    HOUR_MS,
    HOURS_KEEP_MS,
    MAX_ARRIVALS_GAP,
    MAX_NAMES,
    MINUTE_MS,
    MINUTES_KEEP_MS,
    RUNS_KEEP_MS,
)
from asyncjobs.ports import GaugeReading, Gauges, NameHour, PeriodFigures, RunCounts, Step

__all__ = ["Periods"]

_MINUTES_KEPT = MINUTES_KEEP_MS // MINUTE_MS
_HOURS_KEPT = HOURS_KEEP_MS // HOUR_MS
_NAME_HOURS_KEPT = RUNS_KEEP_MS // HOUR_MS
_MINUTES_AN_HOUR = HOUR_MS // MINUTE_MS


class _Period:
    """One minute or hour, but for the counts of a minute, which are those of the ledger."""

    __slots__ = ("counts", "gauges", "runs", "waits")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.runs: Counter[int] = Counter()
        self.waits: Counter[int] = Counter()
        self.gauges: Gauges | None = None

    def add(self, other: _Period, counts: Mapping[str, int]) -> None:
        """Add a minute and its counts."""
        self.counts.update(other.counts)
        self.counts.update(counts)
        self.runs.update(other.runs)
        self.waits.update(other.waits)
        if other.gauges is not None:
            self.gauges = _highest(self.gauges or Gauges(), other.gauges)

    def figures(self, at_ms: int, counts: Mapping[str, int]) -> PeriodFigures | None:
        """Return the figures, with further counts; ``None`` if there are none."""
        numbers = {what: number for what, number in {**self.counts, **counts}.items() if number}
        if not (numbers or self.runs or self.waits or self.gauges):
            return None
        return PeriodFigures(at_ms=at_ms, **numbers, runs=dict(self.runs), waits=dict(self.waits), gauges=self.gauges)


class Periods:
    """The periods of one queue. A minute that is over is added to its hour once."""

    __slots__ = ("_added", "_arrived", "_hours", "_minutes", "_names", "_sampled")

    def __init__(self) -> None:
        self._minutes: dict[int, _Period] = {}
        self._hours: dict[int, _Period] = {}
        # By hour and name.
        self._names: dict[int, dict[str, RunCounts]] = {}
        self._sampled = self._added = 0
        # The minute of the last sample, and how many jobs had ever come in.
        self._arrived: tuple[int, int] | None = None

    def count_runs(self, counts: Sequence[RunCounts], now_ms: int) -> None:
        """Add what attempts came to."""
        minute = self._minute(now_ms // MINUTE_MS)
        names = self._names.setdefault(now_ms // HOUR_MS, {})
        _drop_old(self._names, now_ms // HOUR_MS - _NAME_HOURS_KEPT)
        for one in counts:
            minute.runs.update(one.runs)
            minute.waits.update(one.waits)
            name = one.name if one.name in names or len(names) < MAX_NAMES else ""
            names[name] = _sum(names.get(name, RunCounts(name=name)), one)

    def begin_gauges(self, counted: Mapping[int, Mapping[str, int]], now_ms: int) -> bool:
        """Return whether the caller is to sample this minute; if so, add those that are over to their hours.

        Args:
            counted: The ledger's counts by minute.
            now_ms: The time, in Unix milliseconds.
        """
        minute = now_ms // MINUTE_MS
        if minute == self._sampled:
            return False
        self._sampled = minute
        for one in range(max(self._added + 1, minute - _MINUTES_KEPT + 1), minute):
            counts = {what: number for what, number in counted.get(one, {}).items() if number}
            if one in self._minutes or counts:
                hour = self._hours.setdefault(one // _MINUTES_AN_HOUR, _Period())
                hour.add(self._minutes.get(one, _Period()), counts)
        self._added = max(self._added, minute - 1)
        _drop_old(self._hours, now_ms // HOUR_MS - _HOURS_KEPT)
        return True

    def keep_gauges(self, reading: GaugeReading, now_ms: int) -> None:
        """Keep the gauges of this minute."""
        number = now_ms // MINUTE_MS
        minute = self._minute(number)
        minute.gauges = reading.gauges
        if self._arrived is not None and 0 <= number - self._arrived[0] <= MAX_ARRIVALS_GAP:
            minute.counts["arrived"] += max(0, reading.arrived_ever - self._arrived[1])
        self._arrived = number, reading.arrived_ever

    def _minute(self, number: int) -> _Period:
        _drop_old(self._minutes, number - _MINUTES_KEPT)
        return self._minutes.setdefault(number, _Period())

    def series(
        self, step: Step, count: int, skip: int, counted: Mapping[int, Mapping[str, int]], now_ms: int
    ) -> Iterator[PeriodFigures]:
        """Yield the figures of the last periods of which there are any; ``counted`` as of ``begin_gauges``."""
        size, kept, periods = MINUTE_MS, _MINUTES_KEPT, self._minutes
        if step == "hour":
            size, kept, periods, counted = HOUR_MS, _HOURS_KEPT, self._hours, {}
        for number in _looked_at(now_ms // size, count, skip, kept):
            figures = periods.get(number, _Period()).figures(number * size, counted.get(number, {}))
            if figures is not None:
                yield figures

    def runs(self, count: int, skip: int, name: str | None, now_ms: int) -> Iterator[NameHour]:
        """Yield the counts of each of the last hours, of one name or of all."""
        for number in _looked_at(now_ms // HOUR_MS, count, skip, _NAME_HOURS_KEPT):
            found = [one for one in self._names.get(number, {}).values() if name in (None, one.name)]
            if found:
                yield NameHour(number * HOUR_MS, sorted(found, key=lambda one: one.name))


def _looked_at(present: int, count: int, skip: int, kept: int) -> range:
    """Return the numbers of the periods to look at."""
    latest = present - max(skip, 0)
    return range(max(latest - min(count, kept), present - kept) + 1, latest + 1)


def _drop_old(periods: dict[int, _Period] | dict[int, dict[str, RunCounts]], newest: int) -> None:
    """Drop the periods up to the number ``newest``."""
    while periods and (oldest := next(iter(periods))) <= newest:
        del periods[oldest]


def _sum(one: RunCounts, other: RunCounts) -> RunCounts:
    return RunCounts(
        name=one.name,
        succeeded=one.succeeded + other.succeeded,
        failed=one.failed + other.failed,
        retried=one.retried + other.retried,
        cancelled=one.cancelled + other.cancelled,
        run_us=one.run_us + other.run_us,
        runs=dict(Counter(one.runs) + Counter(other.runs)),
        waits=dict(Counter(one.waits) + Counter(other.waits)),
    )


def _highest(one: Gauges, other: Gauges) -> Gauges:
    """Return the higher number of each gauge."""
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Gauges(*(max(pair) for pair in pairs))
