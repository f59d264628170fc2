"""The rules for workers, what they run, and schedules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from asyncjobs.app.triage.finding import Facts, Finding, ScheduleFacts, jobs, span
from asyncjobs.app.worker_stats import WorkerJob, WorkerStats, deploys_began

__all__ = ["of_schedule", "of_workers"]


def of_workers(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with workers, and with what they run."""
    # The workers of a process share its loop.
    slowest = {(one.host, one.pid): one for one in sorted(facts.workers, key=lambda one: one.lag_ms)}
    for worker in facts.workers:
        if worker.lag_ms >= facts.limits.lag_ms and worker is slowest[worker.host, worker.pid]:
            lag = span(worker.lag_ms / 1000)
            where = f"{worker.host}:{worker.pid}"
            yield Finding(
                kind="loop lags",
                level="warn",
                queue="",
                subject=worker.id,
                sentence=f"the event loop of the worker on {where} runs {lag} late: a handler blocks it",
                evidence="workers",
            )
        for job in worker.jobs:
            yield from _runs_long(job, worker, facts)
    for queue, count in facts.recovered.items():
        if count >= facts.limits.recovered:
            yield Finding(
                kind="recovered",
                level="warn",
                queue=queue,
                count=count,
                sentence=f"{jobs(count)} taken back from workers that died in the last hour",
                evidence="workers",
            )
    yield from _deploys(facts)


def _runs_long(job: WorkerJob, worker: WorkerStats, facts: Facts) -> Iterator[Finding]:
    known = facts.names.get(job.name)
    usual_ms = None if known is None else known.p99_run_ms
    run_s = (facts.now - job.started_at).total_seconds()
    if usual_ms is None or run_s < max(facts.limits.run_s, facts.limits.run_ratio * usual_ms / 1000):
        return
    yield Finding(
        kind="runs long",
        level="warn",
        queue=job.queue,
        subject=job.id,
        count=1,
        since=job.started_at,
        sentence=(
            f"a job of {job.name} runs for {span(run_s)} on {worker.host}:{worker.pid}; 99 % of them take "
            f"{span(usual_ms / 1000)} at most"
        ),
        evidence="job",
        action="cancel",
    )


def _deploys(facts: Facts) -> Iterator[Finding]:
    """Yield that code of several deploys runs for longer than a deploy takes."""
    first = deploys_began(worker for worker in facts.workers if worker.status != "stopping")
    if len(first) < 2:
        return
    newest = max(first, key=lambda deploy: first[deploy])
    if (facts.now - first[newest]).total_seconds() < facts.limits.deploys_s:
        return
    names = ", ".join(sorted(first))
    since = span((facts.now - first[newest]).total_seconds())
    yield Finding(
        kind="several deploys",
        level="warn",
        queue="",
        subject=newest,
        since=first[newest],
        sentence=f"workers of {len(first)} deploys run side by side since {since}: {names}",
        evidence="workers",
    )


def of_schedule(schedule: ScheduleFacts, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with a schedule."""
    if schedule.problem:
        yield _of_schedule(schedule, "schedule unreadable", f"can't be read here: {schedule.problem}")
        return
    if schedule.next_at is not None:
        late_s = (facts.now - schedule.next_at).total_seconds()
        if late_s >= facts.limits.late_s:
            what = f"has not fired its tick of {schedule.next_at:%Y-%m-%d %H:%M:%S} UTC, {span(late_s)} ago"
            yield _of_schedule(schedule, "schedule late", what, schedule.next_at)
    if schedule.failed_at is not None:
        error = f": {schedule.error}" if schedule.error else ""
        yield _of_schedule(schedule, "schedule failed", f"died the last time{error}", schedule.failed_at)


def _of_schedule(schedule: ScheduleFacts, kind: str, what: str, since: datetime | None = None) -> Finding:
    return Finding(
        kind=kind,  # type: ignore[arg-type]  # of the calls above
        level="warn",
        queue=schedule.queue,
        subject=schedule.id,
        since=since,
        sentence=f"the schedule {schedule.id} {what}",
        evidence="schedules",
    )
