"""The rules for queues: what waits, and doesn't start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from asyncjobs.app.stats import HoldStats, ParkedStats, QueueStats
from asyncjobs.app.triage.finding import Facts, Finding, jobs, span

__all__ = ["in_queue"]

# How many reasons for which jobs are set aside are told of one queue.
_MAX_PARKED = 3

# How many gates at which jobs have waited for long.
_MAX_GATES = 3

# How far two figures of one wait may be apart that were not read at once, in milliseconds.
_READ_APART_MS = 2_000


def in_queue(queue: QueueStats, facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with what waits in a queue."""
    name, is_served = queue.queue_name, queue.queue_name in facts.served
    if queue.paused:
        yield _paused(queue)
    elif queue.size and not is_served:
        yield Finding(
            kind="no worker",
            level="bad",
            queue=name,
            count=queue.size,
            since=facts.now - timedelta(milliseconds=queue.oldest_wait_ms) if queue.oldest_wait_ms else None,
            sentence=f"no worker serves it; {jobs(queue.size, one='waits', more='wait')}",
            evidence="workers",
        )
    else:
        yield from _slow(queue, facts)
        yield from _at_limits(queue, facts)
    if is_served and not queue.paused and queue.overdue >= facts.limits.overdue:
        late = jobs(queue.overdue, one="is past its time", more="are past their time")
        yield Finding(
            kind="overdue",
            level="warn",
            queue=name,
            count=queue.overdue,
            sentence=f"{late}, and no worker has made {'it' if queue.overdue == 1 else 'them'} ready",
            evidence="queue",
        )
    for parked in queue.parked_for[:_MAX_PARKED]:
        yield _parked(queue, parked, facts)
    rest = queue.parked - sum(one.size for one in queue.parked_for[:_MAX_PARKED])
    if queue.parked and rest > 0:
        yield Finding(
            kind="set aside",
            level="warn",
            queue=name,
            count=rest,
            sentence=f"{jobs(rest)} set aside: no worker knows the name, or it is suspended",
            evidence="parked",
        )


def _paused(queue: QueueStats) -> Finding:
    pause = queue.pause
    return Finding(
        kind="paused",
        level="bad" if queue.size else "warn",
        queue=queue.queue_name,
        count=queue.size,
        since=None if pause is None else pause.since,
        sentence=f"paused{_by_whom(pause)}; {jobs(queue.size, one='waits', more='wait')}",
        evidence="queue",
        action="resume",
    )


def _slow(queue: QueueStats, facts: Facts) -> Iterator[Finding]:
    """Yield what says that a queue which is served doesn't keep up; what a limit holds back is meant to wait."""
    limits, load = facts.limits, facts.loads.get(queue.queue_name)
    rules = [one for one in facts.gates.get(queue.queue_name, ()) if one.gate == one.rule]
    held, held_ms = sum(one.waiting for one in rules), max((one.oldest_wait_ms for one in rules), default=0)
    never = load is not None and load.drain_s is None
    if (
        load is not None
        and load.workers
        and load.backlog - held >= limits.backlog
        and (load.drain_s is None or load.drain_s > limits.drain_s)
    ):
        grows = 60 * (load.arrival_rate - load.service_rate)
        how = f"the backlog of {jobs(load.backlog)} "
        how += f"grows by {grows:,.0f}/min" if grows >= 1 else "does not shrink" if never else "shrinks slowly"
        end = "it is never empty at this rate" if never else f"it is empty in {span(load.drain_s or 0)} at this rate"
        yield Finding(
            kind="backlog grows",
            level="warn",
            queue=queue.queue_name,
            count=load.backlog,
            sentence=f"{how}; {end}",
            evidence="queue",
        )
        return
    usual_ms = 0.0 if load is None or load.p95_wait_ms is None else limits.wait_ratio * load.p95_wait_ms
    # How long the others have waited can't be told if the first of all waits for a limit.
    if held and queue.oldest_wait_ms <= held_ms + _READ_APART_MS:
        return
    if queue.pending and queue.oldest_wait_ms >= max(1000 * limits.wait_s, usual_ms):
        first = "the only job in line" if queue.pending == 1 else f"the first of {jobs(queue.pending)} in line"
        yield Finding(
            kind="slow",
            level="warn",
            queue=queue.queue_name,
            count=queue.pending,
            since=facts.now - timedelta(milliseconds=queue.oldest_wait_ms),
            sentence=f"slow: {first} has waited {span(queue.oldest_wait_ms / 1000)}",
            evidence="queue",
        )


def _at_limits(queue: QueueStats, facts: Facts) -> Iterator[Finding]:
    """Yield the gates at which jobs have waited for long; that one is full, with many behind it, is as it should be."""
    gates = [one for one in facts.gates.get(queue.queue_name, ()) if one.waiting and not one.is_each]
    late = [one for one in gates if one.oldest_wait_ms >= 1000 * facts.limits.limit_wait_s]
    for gate in sorted(late, key=lambda one: (-one.oldest_wait_ms, one.gate))[:_MAX_GATES]:
        waiting = jobs(gate.waiting, one="waits", more="wait")
        how_long = f"{'' if gate.waiting == 1 else 'the first one '}for {span(gate.oldest_wait_ms / 1000)}"
        hand = f", set by {gate.set_by or 'hand'}" if gate.is_set else ""
        closed = "closed by a job" if gate.is_closed else gate.limit
        yield Finding(
            kind="waits for a limit",
            level="warn",
            queue=queue.queue_name,
            subject=gate.gate,
            count=gate.waiting,
            since=facts.now - timedelta(milliseconds=gate.oldest_wait_ms),
            sentence=f"{waiting} for the limit {gate.gate} ({closed}{hand}), {how_long}",
            evidence="limits",
        )


def _parked(queue: QueueStats, parked: ParkedStats, facts: Facts) -> Finding:
    level: Literal["bad", "warn"] = "warn"
    if parked.reason == "unknown name":
        left_s = facts.unknown_job_grace_s - (facts.now - parked.since).total_seconds()
        dies = "it dies" if parked.size == 1 else "they die"
        dies += f" in {span(left_s)}" if left_s > 0 else " now"
        level = "bad" if left_s < 600 else "warn"
        what = f"{jobs(parked.size)} of {parked.which} set aside: no worker knows this name; {dies}"
    elif parked.reason == "newer version":
        them = "it" if parked.size == 1 else "them"
        what = f"{jobs(parked.size)} set aside: a newer asyncjobs has written {them}, and no worker can read {them}"
    else:
        kind = "name" if parked.reason == "suspended name" else "tenant"
        held = next((one for one in queue.holds if (one.kind, one.which) == (kind, parked.which)), None)
        what = f"{jobs(parked.size)} set aside: the {kind} {parked.which} is suspended{_by_whom(held)}"
    return Finding(
        kind="set aside",
        level=level,
        queue=queue.queue_name,
        subject=parked.which,
        count=parked.size,
        since=parked.since,
        sentence=what,
        evidence="parked",
    )


def _by_whom(held: HoldStats | None) -> str:
    """Return who holds it back and why, as far as that is known."""
    if held is None:
        return ""
    return (f" by {held.by}" if held.by else "") + (f": “{held.why}”" if held.why else "")
