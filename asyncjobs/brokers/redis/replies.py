"""Reads what the scripts reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncjobs.brokers.redis.records import claimed_from, job_from
from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.ports import Claim, Claimed, QueueFigures, TenantFigures

__all__ = ["read_claim", "read_failed", "read_figures", "read_found", "read_page", "read_tenant_figures"]


def read_claim(queues: Sequence[str], reply: list[Any]) -> Claim:
    """Read ``claim.lua``: a part for each of ``queues``."""
    claimed: list[Claimed] = []
    dues: list[int] = []
    again = False
    for queue, (_, due, more, fence, jobs) in zip(queues, reply, strict=True):
        fields = iter(jobs)
        claimed += [
            claimed_from(queue, job_id.decode(), fence, tries, record)
            for job_id, tries, record in zip(fields, fields, fields, strict=True)
        ]
        if due >= 0:
            dues.append(due)
        again = again or more == 1
    return Claim(claimed, reply[0][0], min(dues, default=None), again)


def read_found(queue: str, job_id: str, reply: list[Any] | None) -> Job | None:
    """Read ``find.lua``."""
    if reply is None:
        return None
    record, place, number, tries = reply
    return _job(queue, job_id, record, tries, place.decode(), number)


def read_failed(queue: str, reply: list[Any]) -> list[Job]:
    """Read ``failed.lua``."""
    fields = iter(reply)
    return [
        _job(queue, job_id.decode(), record, tries, "failed", int(died_at))
        for job_id, died_at, record, tries in zip(fields, fields, fields, fields, strict=True)
    ]


def read_page(queue: str, place: str, reply: list[Any]) -> tuple[list[Job], int]:
    """Read ``browse.lua``."""
    looked_at, fields = reply
    each = iter(fields)
    jobs = [
        _job(queue, job_id.decode(), record, tries, place, number)
        for job_id, record, tries, number in zip(each, each, each, each, strict=True)
    ]
    return jobs, looked_at


def _job(queue: str, job_id: str, record: bytes, tries: bytes, place: str, number: int) -> Job:
    return job_from(
        queue,
        job_id,
        record,
        tries,
        state={"failed": JobState.FAILED, "running": JobState.RUNNING}.get(place),
        fence=number if place == "running" else 0,
        due_at_ms=number if place == "scheduled" else None,
        finished_at_ms=number if place == "failed" else None,
    )


def read_figures(queue: str, reply: list[Any]) -> QueueFigures:
    """Read ``inspect.lua``."""
    now_ms, paused, ready, parked, scheduled, leased, dead, tried, head, record, stats = reply
    fields = {name.decode(): int(number) for name, number in zip(stats[::2], stats[1::2], strict=True)}
    since_ms = job_from(queue, head.decode(), record).created_at_ms if head else now_ms
    return QueueFigures(
        name=queue,
        paused=paused == 1,
        ready=(ready[0], ready[1], ready[2], ready[3]),
        parked=parked,
        scheduled=scheduled,
        running=leased,
        dead=dead,
        tried=tried,
        oldest_wait_ms=max(0, now_ms - since_ms),
        recovered=fields.get("recovered", 0),
        **_totals(fields),
    )


def read_tenant_figures(stats: dict[bytes, bytes], dead: int) -> TenantFigures:
    """Read the counters of a tenant, and how many of its jobs are dead."""
    return TenantFigures(dead=dead, **_totals({name.decode(): int(number) for name, number in stats.items()}))


def _totals(fields: dict[str, int]) -> dict[str, Any]:
    names = ("succeeded", "failed", "cancelled", "retried", "duration_us")
    histogram = {int(name[2:]): number for name, number in fields.items() if name.startswith("h:")}
    return {name: fields.get(name, 0) for name in names} | {"histogram": histogram}
