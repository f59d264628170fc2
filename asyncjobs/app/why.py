"""Why a job doesn't run, told from its record and the figures of its queue alone. Pure: figures in, reasons out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from asyncjobs.app.stats import HoldStats, QueueStats
from asyncjobs.core.duration import utc_time
from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.ports import Hold, JobLocation, WorkerInfo

__all__ = ["Why", "WhyKind", "WhyReason", "why", "knows"]

WhyKind = Literal[
    "queue paused",
    "name suspended",
    "tenant suspended",
    "unknown name",
    "newer version",
    "no worker",
    "no worker of its name",
    "due later",
    "queue full",
    "rate used up",
    "no free slot",
    "in line",
    "should run",
    "runs",
    "worker silent",
    "dead",
    "ended",
]
"""What keeps a job from running, or what it does instead. Later versions may know more kinds."""

_SOON_S = 10
"""How old a sending may be that a worker need not have noticed, in seconds."""

_SILENT_MS = 11_000
"""How long ago a worker that lives may have announced itself, in milliseconds: it does so every 5 seconds."""

_RECOVERED_AFTER_MS = 1_000
"""How long after the end of its lease the job of a dead worker is taken back at the latest, in milliseconds."""


class WhyReason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a job doesn't run. As text, it is a sentence."""

    kind: WhyKind
    """What the reason is."""
    which: str = ""
    """The queue, the name, the tenant or the version that it is about; of a job that runs, the worker."""
    since: datetime | None = None
    """Since when, in UTC; ``None`` where that isn't known. Of a silent worker, when it announced itself last."""
    by: str = ""
    """Who has paused or suspended it, if that is known."""
    note: str = ""
    """The reason that was given for that; of a job that is dead or has ended, its last error, or the reason; the rate
    that is used up."""
    due_at: datetime | None = None
    """When the job may start, of a job that waits for its time; when the rate of its queue allows the next start; by
    when the job of a silent worker is taken back, if that worker is dead; ``None`` while no other worker is there."""
    retry: int = 0
    """Which retry it waits for, 0 for the first run; of a dead job, how many attempts have failed."""
    max_retries: int | None = None
    """How many retries it has at most, where that is known."""
    ahead: int | None = None
    """How many jobs start before it, of a job in line."""
    slots: int | None = None
    """How many jobs the workers of its queue run at once; of a full queue, how many of its jobs may run at once."""
    free_slots: int | None = None
    """How many of these slots are free, as of the last seconds."""

    def __str__(self) -> str:
        return _SENTENCES[self.kind](self)


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job doesn't run. As text, it is one sentence a reason."""

    id: str
    """The id of the job."""
    queue: str
    """Its queue."""
    state: str
    """Its state."""
    reasons: list[WhyReason]
    """The reasons, the first one first to be dealt with."""

    def __str__(self) -> str:
        return " ".join(map(str, self.reasons))


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
    serving = [one for one in workers if queue.queue_name in one.queues and one.status != "stopping"]
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
        limited = [*_limited(location, queue)]
        yield from limited or [_in_line(job, location, of_name, now)]


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


def knows(worker: WorkerInfo, name: str) -> bool:
    """Return whether a worker has a handler of a name; those of early versions don't say."""
    return not worker.handlers or any(name in names for names in worker.handlers.values())


def _in_line(job: Job, location: JobLocation | None, workers: Collection[WorkerInfo], now: datetime) -> WhyReason:
    slots = sum(one.concurrency for one in workers)
    free = sum(max(0, one.concurrency - len(one.running)) for one in workers)
    ahead = None if location is None else location.ahead
    figures: dict[str, Any] = {"ahead": ahead, "slots": slots, "free_slots": free}
    if free <= 0:
        return WhyReason(kind="no free slot", **figures)
    sent_at = utc_time(job.created_at_ms)
    is_new = (now - sent_at).total_seconds() < _SOON_S
    return WhyReason(kind="should run" if ahead == 0 and not is_new else "in line", **figures)


def _of_hold(what: str, one: WhyReason) -> str:
    by = f" by {one.by}" if one.by else ""
    since = f" since {_time(one.since)}" if one.since else ""
    return f"{what} is {'paused' if one.kind == 'queue paused' else 'suspended'}{since}{by}" + (
        f": {one.note}." if one.note else "."
    )


def _due(one: WhyReason) -> str:
    if not one.retry:
        return f"Its time has not come: it starts at {_time(one.due_at)}."
    of = "" if one.max_retries is None else f" of {one.max_retries:,}"
    after = ""
    if one.since is not None and one.due_at is not None:
        after = f", {_seconds((one.due_at - one.since).total_seconds())} after the last attempt"
    return f"It waits for retry {one.retry:,}{of}, at {_time(one.due_at)}{after}."


def _dead_sentence(one: WhyReason) -> str:
    used = one.max_retries is not None and one.retry > one.max_retries
    if used:
        how = "its only attempt failed" if one.retry == 1 else f"all {one.retry:,} attempts failed"
    else:
        how = f"{one.retry:,} of its attempts failed"
    last = f"; the last error is {one.note.splitlines()[0][:200]}" if one.note.strip() else ""
    return f"It is dead since {_time(one.since)}: {how}{last}. It runs again only if it is retried."


def _full(one: WhyReason) -> str:
    slots = "All slots of the workers" if one.slots is None else f"All {one.slots:,} slots of its workers"
    return f"{slots} are taken" + (f", and {_starts(one.ahead)} before it." if one.ahead else ".")


def _queue_full(one: WhyReason) -> str:
    running = "1 job" if one.slots == 1 else f"{one.slots or 0:,} jobs"
    return f"The queue {one.which} runs at most {running} at once, and does" + _behind(one)


def _rate_used_up(one: WhyReason) -> str:
    return f"The rate of the queue {one.which}, {one.note}, is used up until {_time(one.due_at)}" + _behind(one)


def _behind(one: WhyReason) -> str:
    return f"; {_starts(one.ahead)} before it." if one.ahead else "."


def _starts(ahead: int) -> str:
    return "1 job starts" if ahead == 1 else f"{ahead:,} jobs start"


def _in_turn(one: WhyReason) -> str:
    if one.ahead is None:
        return "It waits its turn."
    if one.ahead:
        return f"It waits its turn: {_starts(one.ahead)} before it."
    return "It waits its turn, and starts within seconds."


def _should(one: WhyReason) -> str:
    free = "" if one.free_slots is None else f"{one.free_slots:,} slots are free, and "
    return f"It should be running: {free}nothing stands before it. If it stays so, look at the workers and their log."


def _silent(one: WhyReason) -> str:
    heard = f"has announced itself last at {_time(one.since)}" if one.since else "is not present any more"
    by = f"by {_time(one.due_at)}" if one.due_at else "when its lease has lapsed"
    return f"That worker {heard}. If it is dead, another one takes the job back {by}."


def _ended(one: WhyReason) -> str:
    because = f": {one.note}." if one.note else "."
    return f"It has ended: it was {one.which} at {_time(one.since)}{because}"


def _time(at: datetime | None) -> str:
    return "a time that is not known" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:,.0f} s"


_SENTENCES: dict[WhyKind, Callable[[WhyReason], str]] = {
    "queue paused": lambda one: _of_hold(f"The queue {one.which}", one),
    "name suspended": lambda one: _of_hold(f"The name {one.which}", one),
    "tenant suspended": lambda one: _of_hold(f"The tenant {one.which}", one),
    "unknown name": lambda one: (
        f"It is set aside{f' since {_time(one.since)}' if one.since else ''}: no worker of its queue has a handler of "
        f"{one.which}."
    ),
    "newer version": lambda one: (
        f"It is set aside: asyncjobs has written it with version {one.which} of its records, which no worker can read."
    ),
    "no worker": lambda one: f"No worker serves the queue {one.which}.",
    "no worker of its name": lambda one: f"No worker of its queue has a handler of {one.which}.",
    "due later": _due,
    "queue full": _queue_full,
    "rate used up": _rate_used_up,
    "no free slot": _full,
    "in line": _in_turn,
    "should run": _should,
    "runs": lambda one: f"It runs on the worker {one.which or '(unknown)'} since {_time(one.since)}.",
    "worker silent": _silent,
    "dead": _dead_sentence,
    "ended": _ended,
}
