"""Why a job doesn't run, told from its record and the figures of its queue alone. Pure: figures in, reasons out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from asyncjobs.app.gates import is_closed, is_full
from asyncjobs.app.reasons import Why, WhyKind, WhyReason
from asyncjobs.app.stats import HoldStats, QueueStats
from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.lines import group_in
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, JobLocation, WorkerInfo

__all__ = ["knows", "why"]

_MAX_TOLD = 100
"""How many of its jobs a worker tells; of one that tells as many, it isn't known how many slots are free."""

_SOON_S = 10
"""How old a sending may be that a worker need not have noticed, in seconds."""

_SILENT_MS = 11_000
"""How long ago a worker that lives may have announced itself, in milliseconds: it does so every 5 seconds."""

_RECOVERED_AFTER_MS = 1_000
"""How long after the end of its lease the job of a dead worker is taken back at the latest, in milliseconds."""


def why(
    job: Job,
    location: JobLocation | None,
    queue: QueueStats,
    workers: Collection[WorkerInfo],
    *,
    now: datetime,
    max_retries: int | None,
) -> Why:
    """Return why ``job`` doesn't run.

    Args:
        job: The job.
        location: Where it waits or runs, as the broker tells.
        queue: The figures of its queue.
        workers: The workers that are present.
        now: The time, in UTC.
        max_retries: How many retries it has at most, ``None`` if that isn't known.
    """
    if job.state is JobState.RUNNING:
        reasons = [*_runs(job, location, workers)]
    elif job.state is JobState.FAILED:
        reasons = [_dead(job, max_retries)]
    elif job.state in (JobState.COMPLETED, JobState.CANCELLED):
        ended_at = utc_time(job.finished_at_ms)
        reasons = [WhyReason(kind="ended", which=job.state.value, since=ended_at, note=job.reason)]
    else:
        reasons = [*_waits(job, location, queue, workers, now, max_retries)]
    return Why(id=job.id, queue=job.queue, state=job.state.value, reasons=reasons)


def _runs(job: Job, location: JobLocation | None, workers: Collection[WorkerInfo]) -> Iterator[WhyReason]:
    """Yield what a running job does, and whether its worker is silent."""
    yield WhyReason(kind="runs", which=job.worker, since=utc_time(job.started_at_ms))
    own = next((one for one in workers if one.id == job.worker), None)
    if not job.worker or job.seen_at_ms is None or (own and job.seen_at_ms - own.beat_at_ms < _SILENT_MS):
        return
    until_ms = None if location is None else location.leased_until_ms
    others = [one for one in workers if job.queue in one.queues and one.id != job.worker]
    yield WhyReason(
        kind="worker silent",
        which=job.worker,
        since=None if own is None else utc_time(own.beat_at_ms),
        # Leases that lapse while no worker is there are given more time.
        due_at=utc_time(until_ms + _RECOVERED_AFTER_MS) if until_ms is not None and others else None,
    )
    if not others:
        yield WhyReason(kind="no worker", which=job.queue)


def _dead(job: Job, max_retries: int | None) -> WhyReason:
    last = job.errors[-1] if job.errors else None
    note = "" if last is None else f"{last.type}: {last.message}"
    return WhyReason(
        kind="dead", since=utc_time(job.finished_at_ms), note=note, retry=job.failures, max_retries=max_retries
    )


def _waits(
    job: Job,
    location: JobLocation | None,
    queue: QueueStats,
    workers: Collection[WorkerInfo],
    now: datetime,
    max_retries: int | None,
) -> Iterator[WhyReason]:
    """Yield the reasons of a job that waits."""
    parked_for = location.hold if location is not None and location.place == "parked" else None
    held = [*_held(job, queue)]
    yield from held
    if parked_for is not None and parked_for.kind == "version":
        yield WhyReason(kind="newer version", which=parked_for.which)
    own = [one for one in workers if queue.queue_name in one.queues]
    serving = [one for one in own if one.status != "stopping"]
    of_name = [one for one in serving if knows(one, job.name)]
    if not serving:
        yield WhyReason(kind="no worker", which=queue.queue_name)
    elif not of_name:
        parked = parked_for == Hold("name", job.name)
        since = next((one.since for one in queue.parked_for if one.which == job.name), None) if parked else None
        yield WhyReason(kind="unknown name" if parked else "no worker of its name", which=job.name, since=since)
    due_at = utc_time(job.due_at_ms)
    if due_at is not None and due_at > now:
        retry = job.failures + job.deaths
        since = utc_time(job.errors[-1].at_ms) if retry and job.errors else None
        yield WhyReason(kind="due later", due_at=due_at, since=since, retry=retry, max_retries=max_retries)
    elif of_name and not held and (location is None or location.place != "parked"):
        limited = [*_limited(location, queue), *_at_gate(location, now)]
        yield from limited or [_in_line(job, location, of_name, _free_slots(own, of_name, queue.running), now)]


def _held(job: Job, queue: QueueStats) -> Iterator[WhyReason]:
    """Yield the holds that are on a job."""
    for kind, which, reason in (
        ("queue", "", "queue paused"),
        ("name", job.name, "name suspended"),
        ("tenant", job.tenant, "tenant suspended"),
    ):
        held: HoldStats | None = next((one for one in queue.holds if (one.kind, one.which) == (kind, which)), None)
        if held is not None and (which or kind == "queue"):
            yield WhyReason(
                kind=reason,  # type: ignore[arg-type]  # of the tuples above
                which=which or queue.queue_name,
                since=held.since,
                by=held.by,
                note=held.why,
            )


def _limited(location: JobLocation | None, queue: QueueStats) -> Iterator[WhyReason]:
    """Yield the limits of a queue that let nothing start now."""
    limit, ahead = queue.limit, None if location is None else location.ahead
    if limit is not None and limit.running is not None and queue.running >= limit.running:
        yield WhyReason(kind="queue full", which=queue.queue_name, slots=limit.running, ahead=ahead)
    if limit is not None and limit.rate is not None and limit.opens_at is not None:
        yield WhyReason(
            kind="rate used up", which=queue.queue_name, note=limit.rate, due_at=limit.opens_at, ahead=ahead
        )


def _at_gate(location: JobLocation | None, now: datetime) -> Iterator[WhyReason]:
    """Yield why the gate that a line waits for lets nothing start now."""
    if location is None or location.gate is None:
        return
    gate, group = location.gate, group_in(location.line)
    place: dict[str, Any] = {"which": gate.gate, "ahead": location.ahead, "lines_ahead": location.lines_ahead}
    if is_full(gate):
        in_use = gate.running + gate.booked
        slots, holders = gate.limit.running, gate.holders
        yield WhyReason(kind="gate full", slots=slots, in_use=in_use, holders=holders, group=group, **place)
    if gate.opens_at_ms is not None:
        kind: WhyKind = "gate closed" if is_closed(gate, now) else "gate rate used up"
        rate, due_at = gate.limit.rate, utc_time(gate.opens_at_ms)
        yield WhyReason(kind=kind, note="" if rate is None else str(rate), due_at=due_at, group=group, **place)


def knows(worker: WorkerInfo, name: str) -> bool:
    """Return whether a worker has a handler of a name; those of early versions don't say."""
    return not worker.handlers or any(name in names for names in worker.handlers.values())


def _free_slots(own: Collection[WorkerInfo], of_name: Collection[WorkerInfo], running: int) -> int | None:
    """Return how many slots are free for a job, ``None`` where that isn't known.

    Args:
        own: The workers of its queue, also those that are stopping.
        of_name: Those that have a handler of it, and aren't stopping.
        running: How many jobs of the queue run. Unlike what workers tell of themselves, it isn't old.
    """
    free = sum(map(_most_running, own)) - running
    if free < 0:
        # Some run on workers that are gone, until their leases lapse.
        return None
    if free and any(len(one.running) >= _MAX_TOLD < one.concurrency for one in of_name):
        return None
    return min(free, sum(max(0, one.concurrency - len(one.running)) for one in of_name))


def _most_running(worker: WorkerInfo) -> int:
    """Return how many jobs a worker may run now; one that is stopping goes on with those that it has."""
    told = len(worker.running)
    return told if worker.status == "stopping" and told < _MAX_TOLD else worker.concurrency


def _in_line(
    job: Job, location: JobLocation | None, workers: Collection[WorkerInfo], free: int | None, now: datetime
) -> WhyReason:
    ahead = None if location is None else location.ahead
    figures: dict[str, Any] = {
        "ahead": ahead,
        "slots": sum(one.concurrency for one in workers),
        "free_slots": free,
    }
    groups_ahead = None
    if location is not None and location.line:
        groups_ahead = location.groups_ahead
        figures |= {"group": group_in(location.line), "groups_ahead": groups_ahead}
    if free == 0:
        return WhyReason(kind="no free slot", **figures)
    sent_at = utc_time(job.created_at_ms)
    is_new = (now - sent_at).total_seconds() < _SOON_S
    is_next = ahead == 0 and not groups_ahead and free is not None
    return WhyReason(kind="should run" if is_next and not is_new else "in line", **figures)
