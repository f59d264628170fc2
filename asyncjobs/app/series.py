"""What ``app.queue_series()``, ``app.names()`` and ``app.name_series()`` return: figures over time, as columns."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.histogram import add_to, percentile_ms
from asyncjobs.core.priority import Priority
from asyncjobs.core.retention import HOUR_MS, HOURS_KEEP_MS, MINUTE_MS, MINUTES_KEEP_MS, RUNS_KEEP_MS
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import Gauges, NameHour, PeriodFigures, RunCounts, Series, Step

__all__ = [
    "NameSeries",
    "NameStats",
    "QueueSeries",
    "Span",
    "name_series",
    "name_span",
    "name_stats",
    "queue_series",
    "span_of",
]


class QueueSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of queues over time: each list has one value for each step, oldest first.

    The last step is the one that has just begun. In steps of an hour or more, its last minutes are missing. What is
    sampled is added up over queues, but for the oldest wait, the slots and the workers, which are those of the queue
    with the most.
    """

    queues: tuple[str, ...]
    """The queues, together."""
    step_s: int
    """How long each step is, in seconds."""
    at: list[int]
    """When each step began, in Unix seconds by the broker's clock."""
    arrived: list[int]
    """Jobs that came in, as workers have seen it from minute to minute."""
    succeeded: list[int]
    """Jobs that completed."""
    failed: list[int]
    """Jobs that went to the dead letter queue."""
    cancelled: list[int]
    """Jobs that were cancelled."""
    retried: list[int]
    """Retries."""
    recovered: list[int]
    """Jobs taken back from workers that died."""
    p50_run_ms: list[float | None]
    """The median time that an attempt ran, in milliseconds; percentiles are within 5 %. ``None`` if none ended."""
    p95_run_ms: list[float | None]
    """The time that 95 % of the attempts did not exceed, in milliseconds."""
    p50_wait_ms: list[float | None]
    """The median time for which jobs could have started before their first attempt began, in milliseconds."""
    p95_wait_ms: list[float | None]
    """The wait that 95 % of the jobs did not exceed, in milliseconds."""
    pending: list[int | None]
    """Jobs that could start. This and what follows is sampled once a minute, and the highest sample of a step counts;
    ``None`` where no worker was there."""
    pending_by_priority: dict[str, list[int | None]]
    """The jobs that could start, by the name of their priority."""
    scheduled: list[int | None]
    """Jobs that waited for their time."""
    overdue: list[int | None]
    """Those of the scheduled jobs whose time was past."""
    parked: list[int | None]
    """Jobs that were set aside."""
    running: list[int | None]
    """Jobs that workers held."""
    dead: list[int | None]
    """Jobs in the dead letter queue."""
    oldest_wait_ms: list[int | None]
    """How long the first job in line had waited, in milliseconds."""
    slots: list[int | None]
    """How many jobs the workers of the queue could run at once."""
    workers: list[int | None]
    """The workers that served the queue."""


class NameStats(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts at jobs of one name came to in a time span."""

    name: str
    """The job name; empty for names beyond the 200 of a queue and an hour that are told apart."""
    queues: tuple[str, ...]
    """The queues in which they ran, sorted."""
    calls: int
    """Attempts that ended."""
    succeeded: int
    """Attempts after which the job completed."""
    failed: int
    """Attempts after which the job went to the dead letter queue."""
    retried: int
    """Attempts after which the job was to be tried again."""
    cancelled: int
    """Attempts in which the job was cancelled."""
    p50_run_ms: float | None
    """The median time that an attempt ran, in milliseconds; percentiles are within 5 %."""
    p95_run_ms: float | None
    """The time that 95 % of the attempts did not exceed, in milliseconds."""
    p99_run_ms: float | None
    """The time that 99 % of the attempts did not exceed, in milliseconds."""
    p95_wait_ms: float | None
    """The time that 95 % of the jobs could have started before their first attempt began, in milliseconds."""
    run_ms: float
    """How long all attempts ran together, in milliseconds."""
    share: float
    """Which share of the time that all names ran together that is, from 0 to 1."""


class NameSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one job name, hour by hour: each list has one value for each hour, oldest first."""

    name: str
    """The job name."""
    at: list[int]
    """When each hour began, in Unix seconds by the broker's clock."""
    succeeded: list[int]
    """Attempts after which the job completed."""
    failed: list[int]
    """Attempts after which the job went to the dead letter queue."""
    retried: list[int]
    """Attempts after which the job was to be tried again."""
    cancelled: list[int]
    """Attempts in which the job was cancelled."""
    p50_run_ms: list[float | None]
    """The median time that an attempt ran, in milliseconds; percentiles are within 5 %."""
    p95_run_ms: list[float | None]
    """The time that 95 % of the attempts did not exceed, in milliseconds."""
    p95_wait_ms: list[float | None]
    """The time that 95 % of the jobs could have started before their first attempt began, in milliseconds."""
    run_ms: list[float]
    """How long the attempts ran together, in milliseconds."""


class Span(NamedTuple):
    """Which periods a series is made of."""

    period: Step
    """The periods that are kept."""
    period_ms: int
    """How long each of them is."""
    a_step: int
    """How many of them are one step."""
    steps: int
    """How many steps."""
    steps_before: int
    """How many steps before now the last one is."""

    @property
    def to_read(self) -> int:
        """How many periods to read, one step too many, since the time is not known before."""
        return (self.steps + 1) * self.a_step

    @property
    def skip(self) -> int:
        """How many of the latest periods not to read."""
        return max(0, self.steps_before - 1) * self.a_step

    def starts(self, now_ms: int) -> range:
        """Return when each step begins, in Unix milliseconds."""
        size = self.period_ms * self.a_step
        last = now_ms // size - self.steps_before
        return range((last - self.steps + 1) * size, (last + 1) * size, size)


def span_of(since: Duration, step: Duration | None, before: Duration) -> Span:
    """Return which periods the caller of ``app.queue_series()`` asks for.

    Raises:
        ArgumentsError: An argument is no duration, or reaches beyond what is kept.
    """
    since_ms, before_ms = to_ms("since", since, least_ms=MINUTE_MS), to_ms("before", before)
    reach_ms = since_ms + before_ms
    if reach_ms > HOURS_KEEP_MS:
        raise ArgumentsError(f"since={shown(since)}, before={shown(before)}: figures are kept for 90 days")
    if step is None:
        step_ms = MINUTE_MS if reach_ms <= MINUTES_KEEP_MS else HOUR_MS
    else:
        step_ms = to_ms("step", step, least_ms=MINUTE_MS)
    is_hourly = reach_ms > MINUTES_KEEP_MS or (step_ms % HOUR_MS == 0 and since_ms >= step_ms)
    period_ms = HOUR_MS if is_hourly else MINUTE_MS
    if step_ms % period_ms:
        why = "beyond six hours, figures are kept by hour" if is_hourly else "figures are kept by minute"
        raise ArgumentsError(f"step={shown(step)}: expected a multiple of {period_ms // 1000:,} s, since {why}")
    steps, steps_before = -(-since_ms // step_ms), before_ms // step_ms
    return Span("hour" if is_hourly else "minute", period_ms, step_ms // period_ms, steps, steps_before)


class _Sum:
    """The sum of some periods."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.runs: dict[int, int] = {}
        self.waits: dict[int, int] = {}
        self.gauges: dict[str, list[Gauges]] = {}

    def add(self, queue: str, figures: PeriodFigures) -> None:
        """Add a period of a queue."""
        for what in _COUNTS:
            self.counts[what] += getattr(figures, what)
        add_to(self.runs, figures.runs)
        add_to(self.waits, figures.waits)
        if figures.gauges is not None:
            self.gauges.setdefault(queue, []).append(figures.gauges)

    def highest(self, what: str) -> int | None:
        """Return the highest of a gauge, of several queues as their figures say it."""
        each: list[int] = [max(getattr(one, what) for one in gauges) for gauges in self.gauges.values()]
        if not each:
            return None
        return max(each) if what in _NOT_ADDED else sum(each)


_COUNTS = ("arrived", "succeeded", "failed", "cancelled", "retried", "recovered")
_NOT_ADDED = ("oldest_wait_ms", "slots", "workers")
_GAUGES = ("scheduled", "overdue", "parked", "running", "dead", "oldest_wait_ms", "slots", "workers")


def queue_series(queues: Mapping[str, Series], span: Span) -> QueueSeries:
    """Return the figures of queues as columns.

    Args:
        queues: What is known of each queue.
        span: Which periods are wanted.
    """
    starts = span.starts(max((one.now_ms for one in queues.values()), default=time.time_ns() // 1_000_000))
    sums = {start: _Sum() for start in starts}
    for queue, series in queues.items():
        for one in series.periods:
            start = one.at_ms - one.at_ms % starts.step
            if start in sums:
                sums[start].add(queue, one)
    steps = list(sums.values())
    counts: dict[str, Any] = {what: [one.counts[what] for one in steps] for what in _COUNTS}
    gauges: dict[str, Any] = {what: [one.highest(what) for one in steps] for what in _GAUGES}
    return QueueSeries(
        queues=tuple(queues),
        step_s=starts.step // 1000,
        at=[start // 1000 for start in starts],
        **counts,
        p50_run_ms=[percentile_ms(one.runs, 0.5) for one in steps],
        p95_run_ms=[percentile_ms(one.runs, 0.95) for one in steps],
        p50_wait_ms=[percentile_ms(one.waits, 0.5) for one in steps],
        p95_wait_ms=[percentile_ms(one.waits, 0.95) for one in steps],
        pending=[one.highest("ready") for one in steps],
        pending_by_priority={one.label: [step.highest(one.label) for step in steps] for one in Priority},
        **gauges,
    )


class _NameSum:
    """The sum of some counts of one name."""

    def __init__(self) -> None:
        self.succeeded = self.failed = self.retried = self.cancelled = self.run_us = 0
        self.runs: dict[int, int] = {}
        self.waits: dict[int, int] = {}

    def add(self, counts: RunCounts) -> None:
        """Add the counts of an hour."""
        self.succeeded += counts.succeeded
        self.failed += counts.failed
        self.retried += counts.retried
        self.cancelled += counts.cancelled
        self.run_us += counts.run_us
        add_to(self.runs, counts.runs)
        add_to(self.waits, counts.waits)


def name_stats(runs: Mapping[str, Sequence[NameHour]]) -> list[NameStats]:
    """Return what attempts came to by name, those that ran for the longest time first; ``runs``: the hours by queue."""
    totals: defaultdict[str, _NameSum] = defaultdict(_NameSum)
    queues: defaultdict[str, set[str]] = defaultdict(set)
    for queue, hours in runs.items():
        for hour in hours:
            for one in hour.names:
                totals[one.name].add(one)
                queues[one.name].add(queue)
    all_us = sum(total.run_us for total in totals.values())
    found = [
        NameStats(
            name=name,
            queues=tuple(sorted(queues[name])),
            calls=total.succeeded + total.failed + total.retried + total.cancelled,
            succeeded=total.succeeded,
            failed=total.failed,
            retried=total.retried,
            cancelled=total.cancelled,
            p50_run_ms=percentile_ms(total.runs, 0.5),
            p95_run_ms=percentile_ms(total.runs, 0.95),
            p99_run_ms=percentile_ms(total.runs, 0.99),
            p95_wait_ms=percentile_ms(total.waits, 0.95),
            run_ms=total.run_us / 1000,
            share=total.run_us / all_us if all_us else 0.0,
        )
        for name, total in totals.items()
    ]
    return sorted(found, key=lambda one: (-one.run_ms, one.name))


def name_series(name: str, runs: Iterable[Sequence[NameHour]], span: Span, now_ms: int) -> NameSeries:
    """Return the figures of a job name as columns; ``runs``: the hours of each queue, of this name alone."""
    starts = span.starts(now_ms)
    sums = {start: _NameSum() for start in starts}
    for hours in runs:
        for hour in hours:
            if hour.at_ms in sums:
                for one in hour.names:
                    sums[hour.at_ms].add(one)
    steps = list(sums.values())
    return NameSeries(
        name=name,
        at=[start // 1000 for start in starts],
        succeeded=[one.succeeded for one in steps],
        failed=[one.failed for one in steps],
        retried=[one.retried for one in steps],
        cancelled=[one.cancelled for one in steps],
        p50_run_ms=[percentile_ms(one.runs, 0.5) for one in steps],
        p95_run_ms=[percentile_ms(one.runs, 0.95) for one in steps],
        p95_wait_ms=[percentile_ms(one.waits, 0.95) for one in steps],
        run_ms=[one.run_us / 1000 for one in steps],
    )


def name_span(since: Duration, before: Duration) -> Span:
    """Return which hours the caller of ``app.names()`` asks for.

    Raises:
        ArgumentsError: An argument is no duration, or reaches beyond what is kept.
    """
    since_ms, before_ms = to_ms("since", since, least_ms=1), to_ms("before", before)
    if since_ms + before_ms > RUNS_KEEP_MS:
        raise ArgumentsError(f"since={shown(since)}, before={shown(before)}: figures of job names are kept for 14 days")
    return Span("hour", HOUR_MS, 1, -(-since_ms // HOUR_MS), before_ms // HOUR_MS)
