"""Reads what the scripts reply about the figures of queues and tenants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from asyncjobs.brokers.redis.arguments import hold_of, limit_of
from asyncjobs.brokers.redis.records import job_from
from asyncjobs.brokers.redis.replies import rows
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.core.record.version import DECODING_ERRORS
from asyncjobs.core.retention import HOUR_MS, MINUTE_MS
from asyncjobs.ports import (
    Gauges,
    Held,
    LimitFigures,
    NameHour,
    ParkedJobs,
    PeriodFigures,
    QueueFigures,
    RunCounts,
    Runs,
    Series,
    Step,
    TenantFigures,
)

__all__ = ["read_overview", "read_runs", "read_series", "read_tenant_figures"]

_OVERVIEW = load("overview")
_RUNS = load("runs")
_SERIES = load("series")

_labels = msgspec.msgpack.Decoder(list[str])
_notes = msgspec.msgpack.Decoder(dict[str, tuple[int, str, str]])
_gauges = msgspec.msgpack.Decoder(Gauges)
_run_counts = msgspec.msgpack.Decoder(tuple[int, int, int, int, int, list[int], list[int]])
_PERIOD_MS: dict[Step, int] = {"minute": MINUTE_MS, "hour": HOUR_MS}
_PERIOD_COUNTERS = {
    name: name.encode()
    for name in ("succeeded", "failed", "cancelled", "retried", "recovered", "duration_us", "arrived")
}
_numbers = msgspec.msgpack.Decoder(list[int])


def read_overview(queues: Sequence[str], reply: Sequence[Any]) -> list[QueueFigures]:
    """Read ``overview.lua``: a part for each of ``queues``."""
    return [_figures(queue, _OVERVIEW.reply(*each)) for queue, each in zip(queues, reply, strict=True)]


def _figures(queue: str, part: Any) -> QueueFigures:
    counters = _counters(part.stats)
    created_at_ms = [job_from(queue, job_id.decode(), record).created_at_ms for job_id, record in rows(part.heads, 2)]
    # A record that can't be read doesn't say when the job was sent.
    since_ms = min((one for one in created_at_ms if one), default=part.now_ms)
    return QueueFigures(
        name=queue,
        held=_held(part.held, part.notes) if part.held else (),
        ready=tuple(part.ready),
        parked=part.parked,
        parked_for=tuple(_parked_for(part.lists)),
        scheduled=part.scheduled,
        overdue=part.overdue,
        running=part.running,
        dead=part.dead,
        tried=part.tried,
        tried_running=part.tried_now,
        oldest_wait_ms=max(0, part.now_ms - since_ms),
        recovered=counters.get("recovered", 0),
        limit=_limit(*part.limit),
        lined=part.lined,
        closed_lines=part.closed_lines,
        repaired=counters.get("repaired", 0),
        **_totals(counters),
    )


def _limit(current: bytes, declared: bytes, by_hand: bytes, by: bytes, opens_at_ms: Any) -> LimitFigures | None:
    if not (current or declared or by_hand):
        return None
    return LimitFigures(
        limit=limit_of(current),
        declared=limit_of(declared),
        is_set=bool(by_hand),
        set_by=by.decode(errors="replace") if by_hand else "",
        opens_at_ms=opens_at_ms or None,
    )


def _held(labels: bytes, notes: bytes) -> tuple[Held, ...]:
    noted = _read_notes(notes)
    holds = [(hold, label) for label in _labels.decode(labels) if (hold := hold_of(label)) is not None]
    return tuple(Held(hold, *noted.get(label, ())) for hold, label in sorted(holds))


def _read_notes(stored: bytes) -> dict[str, tuple[int, str, str]]:
    """Return since when, by whom and why labels are held; nothing if that can't be read."""
    try:
        return _notes.decode(stored) if stored else {}
    except DECODING_ERRORS:
        return {}


def _parked_for(lists: Sequence[Any]) -> Iterator[ParkedJobs]:
    for label, count, since_ms in rows(lists, 3):
        if (hold := hold_of(label.decode())) is not None:
            yield ParkedJobs(hold, count, since_ms)


def read_series(step: Step, reply: Sequence[Any]) -> Series:
    """Read ``series.lua``."""
    part = _SERIES.reply(*reply)
    return Series(part.now_ms, [_period(period * _PERIOD_MS[step], stored) for period, stored in rows(part.periods, 2)])


def _period(at_ms: int, stored: Sequence[bytes]) -> PeriodFigures:
    fields = dict(rows(stored, 2))
    gauges = fields.get(b"gauges")
    counters = {name: int(fields.get(field, 0)) for name, field in _PERIOD_COUNTERS.items()}
    return PeriodFigures(
        at_ms=at_ms,
        **counters,
        runs=_histogram_in(fields.get(b"runs")),
        waits=_histogram_in(fields.get(b"waits")),
        gauges=None if gauges is None else _gauges_in(gauges),
    )


def _gauges_in(stored: bytes) -> Gauges | None:
    try:
        return _gauges.decode(stored)
    except DECODING_ERRORS:
        return None


def _histogram_in(stored: bytes | None) -> dict[int, int]:
    """Return a histogram as it is stored: bucket, count, …"""
    try:
        values = _numbers.decode(stored) if stored else ()
    except DECODING_ERRORS:
        return {}
    return dict(zip(values[::2], values[1::2], strict=False))


def read_runs(reply: Sequence[Any]) -> Runs:
    """Read ``runs.lua``; counts that can't be read are left out."""
    part = _RUNS.reply(*reply)
    return Runs(part.now_ms, [NameHour(hour * HOUR_MS, _names(stored)) for hour, stored in rows(part.hours, 2)])


def _names(stored: Sequence[bytes]) -> list[RunCounts]:
    names = []
    for name, packed in rows(stored, 2):
        try:
            succeeded, failed, retried, cancelled, run_us, runs, waits = _run_counts.decode(packed)
        except DECODING_ERRORS:
            continue
        one = RunCounts(
            name=name.decode(errors="replace"),
            succeeded=succeeded,
            failed=failed,
            retried=retried,
            cancelled=cancelled,
            run_us=run_us,
            runs=dict(zip(runs[::2], runs[1::2], strict=False)),
            waits=dict(zip(waits[::2], waits[1::2], strict=False)),
        )
        names.append(one)
    return sorted(names, key=lambda one: one.name)


def read_tenant_figures(stats: Sequence[bytes], dead: int) -> TenantFigures:
    """Read the counters of a tenant, and how many of its jobs are dead."""
    return TenantFigures(dead=dead, **_totals(_counters(stats)))


def _counters(values: Sequence[bytes]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in rows(values, 2)}


def _totals(counters: dict[str, int]) -> dict[str, Any]:
    names = ("succeeded", "failed", "cancelled", "retried", "duration_us")
    return {name: counters.get(name, 0) for name in names} | {"histogram": _histogram(counters, "h:")}


def _histogram(counters: Mapping[str, int], start: str) -> dict[int, int]:
    """Return the histogram whose buckets are counted under names that begin with ``start``."""
    return {int(name[len(start) :]): number for name, number in counters.items() if name.startswith(start)}
