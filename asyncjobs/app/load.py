"""What ``app.load()`` and ``app.queue_loads()`` return: what comes in, what is served, and when a queue is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from asyncjobs.core.histogram import add_to, percentile_ms
from asyncjobs.core.retention import MINUTE_MS
from asyncjobs.ports import PeriodFigures, QueueFigures, Series, WorkerInfo

__all__ = ["LOOK_BACK", "TARGET_S", "Load", "QueueLoad", "QueueReading", "load_of", "queue_load"]

#: How many minutes to read.
LOOK_BACK = 61

#: Within how many seconds the wanted slots are to run the backlog, where nobody says so.
TARGET_S = 60

# Over how many full minutes rates are taken.
_RATE_MINUTES = 5
_SHOWN_MINUTES = 30

# What has been in line for less than this is no backlog: it is served as it comes.
_KEEPS_UP_S = 10.0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What some queues have to do, and what can be done: one number each, for autoscalers."""

    backlog: int
    """Jobs that wait to start, and scheduled ones whose time is past."""
    held_back: int
    """Those of the backlog that wait for a limit by name, which more workers could not start."""
    running: int
    """Jobs that workers hold."""
    oldest_wait_s: float
    """How long the first job in line has waited, in seconds."""
    arrival_rate: float
    """How many jobs came in in a second, over the last five minutes."""
    service_rate: float
    """How many jobs ended in a second, over the last five minutes."""
    slots: int
    """How many jobs the workers of these queues can run at once."""
    workers: int
    """The workers of these queues."""
    mean_run_s: float | None
    """How long an attempt ran on average, in seconds, over the last hour; ``None`` if none ended."""
    drain_s: float | None
    """In how many seconds the backlog is gone if all goes on as in the last five minutes; ``None`` for never."""
    wanted_slots: int
    """How many slots can run what comes in, and within ``target`` seconds the backlog without what is held back: never
    fewer than jobs that run, and at least one where something is to be done. While a limit by name holds jobs back, no
    more counts as coming in than is served."""


class QueueLoad(Load, frozen=True, kw_only=True):
    """The load of one queue, and how its last minutes were."""

    queue: str
    """The queue."""
    paused: bool
    """Whether it is paused."""
    ended_per_minute: float
    """How many jobs ended in a minute, over the last five minutes."""
    died_last_hour: int
    """Jobs that went to the dead letter queue in the last hour."""
    p95_wait_ms: float | None
    """The time that 95 % of the jobs could have started before their first attempt began, in milliseconds, over the
    last hour."""
    p95_run_ms: float | None
    """The time that 95 % of the attempts did not exceed, in milliseconds, over the last hour."""
    ended: list[int]
    """Jobs that ended in each of the last 30 minutes, oldest first, without the present one."""


class QueueReading(NamedTuple):
    """Of one queue, what the broker told from which its load follows."""

    figures: QueueFigures
    """Its figures."""
    series: Series
    """Its last ``LOOK_BACK`` minutes."""
    held_back: int = 0
    """How many of its jobs wait for a limit by name."""


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one queue, what its load follows from."""

    backlog: int
    held_back: int
    running: int
    oldest_wait_s: float
    arrival_rate: float
    service_rate: float
    is_held: bool
    may_run: float
    runs: dict[int, int]
    mean_run_s: float | None


def queue_load(queue: QueueReading, workers: Sequence[WorkerInfo], target_s: float) -> QueueLoad:
    """Return the load of a queue.

    Args:
        queue: What was read of it.
        workers: The workers that are present.
        target_s: Within how many seconds the wanted slots are to run the backlog.
    """
    figures, series = queue.figures, queue.series
    minutes = {one.at_ms // MINUTE_MS: one for one in series.periods}
    present = series.now_ms // MINUTE_MS
    last = [minutes[number] for number in range(present - 60, present + 1) if number in minutes]
    waits: dict[int, int] = {}
    for one in last:
        add_to(waits, one.waits)
    facts = _facts(queue)
    own = [worker for worker in workers if figures.name in worker.queues]
    return QueueLoad(
        queue=figures.name,
        paused=figures.paused,
        ended_per_minute=facts.service_rate * 60,
        died_last_hour=sum(one.failed for one in last),
        p95_wait_ms=percentile_ms(waits, 0.95),
        p95_run_ms=percentile_ms(facts.runs, 0.95),
        ended=[
            _ended(minutes[number]) if number in minutes else 0 for number in range(present - _SHOWN_MINUTES, present)
        ],
        **msgspec.structs.asdict(_load([facts], own, target_s)),
    )


def load_of(queues: Sequence[QueueReading], workers: Sequence[WorkerInfo], target_s: float) -> Load:
    """Return the load of several queues together; the arguments are as of ``queue_load``."""
    names = {one.figures.name for one in queues}
    own = [worker for worker in workers if names.intersection(worker.queues)]
    return _load([*map(_facts, queues)], own, target_s)


def _ended(figures: PeriodFigures) -> int:
    return figures.succeeded + figures.failed + figures.cancelled


def _facts(queue: QueueReading) -> _Facts:
    figures, series, held_back = queue
    present = series.now_ms // MINUTE_MS
    full = [one for one in series.periods if present - _RATE_MINUTES <= one.at_ms // MINUTE_MS < present]
    if not full:
        # The first minute of a queue; else its rates would be unknown for as long.
        full = [one for one in series.periods if one.at_ms // MINUTE_MS == present]
        seconds = max(1.0, series.now_ms % MINUTE_MS / 1000)
    else:
        seconds = _RATE_MINUTES * 60.0
    runs: dict[int, int] = {}
    for one in series.periods:
        add_to(runs, one.runs)
    ready = sum(figures.ready)
    return _Facts(
        backlog=ready + figures.overdue,
        # Read a moment later.
        held_back=min(held_back, ready),
        running=figures.running,
        oldest_wait_s=figures.oldest_wait_ms / 1000 if ready else 0.0,
        arrival_rate=sum(one.arrived for one in full) / seconds,
        service_rate=sum(map(_ended, full)) / seconds,
        is_held=figures.paused,
        may_run=math.inf if figures.limit is None else figures.limit.limit.running or math.inf,
        runs=runs,
        mean_run_s=_mean_s(runs),
    )


def _mean_s(histogram: Mapping[int, int]) -> float | None:
    """Return the mean of a histogram in seconds, within 5 %."""
    count = sum(histogram.values())
    if not count:
        return None
    sums = sum((percentile_ms({bucket: 1}, 0.5) or 0.0) * number for bucket, number in histogram.items())
    return sums / count / 1000


def _load(queues: Sequence[_Facts], workers: Sequence[WorkerInfo], target_s: float) -> Load:
    open_queues = [one for one in queues if not one.is_held]
    backlog = sum(one.backlog for one in queues)
    arrival_rate = sum(one.arrival_rate for one in queues)
    service_rate = sum(one.service_rate for one in queues)
    running = sum(one.running for one in queues)
    oldest_wait_s = max((one.oldest_wait_s for one in queues), default=0.0)
    is_stuck = any(one.is_held and one.backlog for one in queues) or not workers
    known = [one.mean_run_s for one in queues if one.mean_run_s is not None]
    return Load(
        backlog=backlog,
        held_back=sum(one.held_back for one in queues),
        running=running,
        oldest_wait_s=oldest_wait_s,
        arrival_rate=arrival_rate,
        service_rate=service_rate,
        slots=sum(worker.concurrency for worker in workers),
        workers=len(workers),
        mean_run_s=sum(known) / len(known) if known else None,
        drain_s=_drain_s(backlog, oldest_wait_s, arrival_rate, service_rate, is_stuck=is_stuck),
        wanted_slots=max(running, math.ceil(sum(_wanted(one, target_s) for one in open_queues))),
    )


def _drain_s(
    backlog: int, oldest_wait_s: float, arrival_rate: float, service_rate: float, *, is_stuck: bool
) -> float | None:
    if not backlog:
        return 0.0
    if is_stuck or not service_rate:
        return None
    if oldest_wait_s < _KEEPS_UP_S and backlog <= service_rate * _KEEPS_UP_S:
        return backlog / service_rate
    return backlog / (service_rate - arrival_rate) if service_rate > arrival_rate else None


def _wanted(one: _Facts, target_s: float) -> float:
    """Return how many slots can run what comes in, and within the target what may start of the backlog.

    By Little's law.
    """
    least = 1.0 if one.backlog or one.running or one.arrival_rate else 0.0
    if one.mean_run_s is None:
        return least
    # What comes in and is held back at once wants no slots either; how much that is, isn't known.
    comes_in = min(one.arrival_rate, one.service_rate) if one.held_back else one.arrival_rate
    return min(one.may_run, max(least, (comes_in + (one.backlog - one.held_back) / target_s) * one.mean_run_s))
