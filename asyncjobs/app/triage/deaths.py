"""The rules for the dead letter queues."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from asyncjobs.app.stats import QueueStats
from asyncjobs.app.triage.finding import Facts, Finding, jobs, span
from asyncjobs.app.worker_stats import deploys_began
from asyncjobs.core.duration import utc_time
from asyncjobs.ports import DeadGroup

__all__ = ["dead_in_queue"]

# How many groups of errors are told of one queue.
_MAX_GROUPS = 3
_MAX_MESSAGE = 160
# How long after a deploy deaths are put down to it.
_AFTER_DEPLOY_S = 1800


def dead_in_queue(queue: QueueStats, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the dead of a queue."""
    if queue.failed >= facts.limits.full * facts.max_dead:
        yield Finding(
            kind="dead letter queue full",
            level="bad",
            queue=queue.queue_name,
            count=queue.failed,
            sentence=f"{queue.failed:,} of at most {facts.max_dead:,} dead jobs: the oldest will be thrown away",
            evidence="dead",
        )
    groups = [one for one in facts.groups if one.queue == queue.queue_name and one.count]
    groups.sort(key=lambda one: (-one.hour, -one.count))
    surge = _surge(queue, groups, facts)
    if surge is not None:
        yield surge
    told = [one for one in groups if one.id and one.state in ("new", "back") and one.day]
    told = [one for one in told if surge is None or one.id != surge.subject][:_MAX_GROUPS]
    for group in told:
        yield _group(group, facts)
    unseen = sum(one.count for one in groups if one.state != "seen") if groups else queue.failed
    unseen -= sum(one.count for one in told)
    if surge is None and unseen > 0:
        yield Finding(
            kind="dead",
            level="warn",
            queue=queue.queue_name,
            count=unseen,
            sentence=f"{jobs(unseen)}{' more' if told else ''} in the dead letter queue",
            evidence="dead",
        )


def _surge(queue: QueueStats, groups: list[DeadGroup], facts: Facts) -> Finding | None:
    """Return that more jobs die than usual, if they do."""
    load = facts.loads.get(queue.queue_name)
    died = 0 if load is None else load.died_last_hour
    usual = facts.usual_deaths.get(queue.queue_name, 0.0)
    if died < facts.limits.deaths or died < facts.limits.deaths_ratio * usual:
        return None
    top = next((one for one in groups if one.hour), None)
    since = utc_time(top.first_ms) if top is not None and top.first_ms else None
    what = "" if top is None else f"; most of them: {_heading(top)}{_after_deploy(since, facts)}"
    return Finding(
        kind="deaths",
        level="bad",
        queue=queue.queue_name,
        subject="" if top is None else top.id,
        count=died,
        since=since,
        sentence=f"{died:,} died in the last hour, {usual:,.0f} in the same hour of other days{what}",
        evidence="dead" if top is None else "group",
        action="retry",
    )


def _group(group: DeadGroup, facts: Facts) -> Finding:
    is_back = group.state == "back"
    since = utc_time(group.first_ms) if group.first_ms and not is_back else None
    note = f" (noted: {group.note})" if is_back and group.note else ""
    what = "an error is back" if is_back else "a new error"
    return Finding(
        kind="error is back" if is_back else "new error",
        level="warn",
        queue=group.queue,
        subject=group.id,
        count=group.count,
        since=since,
        sentence=f"{what}{note}: {_heading(group)}; {jobs(group.count)} dead{_after_deploy(since, facts)}",
        evidence="group",
        action="retry",
    )


def _heading(group: DeadGroup) -> str:
    message = " ".join(group.message.split())
    message = message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 1]}…"
    error = f"{group.error}: {message}" if message else group.error or "other errors"
    return f"{error} in {group.name}" if group.name else error


def _after_deploy(since: datetime | None, facts: Facts) -> str:
    """Return that the first death came soon after a deploy, if it did."""
    if since is None:
        return ""
    began = deploys_began(facts.workers)
    before = [(at, deploy) for deploy, at in began.items() if 0 <= (since - at).total_seconds() <= _AFTER_DEPLOY_S]
    if not before:
        return ""
    at, deploy = max(before)
    return f"; it began {span((since - at).total_seconds())} after the deploy {deploy}"
