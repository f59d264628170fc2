"""Reads what the scripts reply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from asyncjobs.brokers.redis.arguments import hold_of
from asyncjobs.brokers.redis.gates import read_gate
from asyncjobs.brokers.redis.records import claimed_from, job_from
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.core.grouping import read_heading
from asyncjobs.core.job import Job
from asyncjobs.core.states import JobState
from asyncjobs.core.stored import NO_SITUATION, Situation
from asyncjobs.ports import (
    Claim,
    Claimed,
    DeadGroup,
    EnqueueReply,
    EventPage,
    GroupState,
    JobLocation,
    JobPage,
    ListedPlace,
    Place,
    Recovery,
    Sample,
    ScanPage,
    TurnFigures,
)

__all__ = [
    "read_accepted",
    "read_claim",
    "read_dead_groups",
    "read_events",
    "read_flags",
    "read_found",
    "read_location",
    "read_page",
    "read_recovery",
    "read_sample",
    "read_scan",
    "read_turns",
    "rows",
    "was_made_before",
]

_CLAIM = load("claim")
_DEAD_GROUPS = load("dead_groups")
_ENQUEUE_UNIQUE = load("enqueue_unique")
_FIND = load("find")
_LOCATE = load("locate")
_PAGE = load("page")
_READ_EVENTS = load("read_events")
_RECOVER = load("recover")
_SAMPLE = load("sample")
_SCAN = load("scan")

_YES, _LEFT_OUT = ord("1"), ord("2")

# Of ``claim.lua``: the claim was made before, and its reply was lost.
_REPEATED = 2

# The state of a job by its place; in other places a job is pending or retrying.
_STATES = {"failed": JobState.FAILED, "dead": JobState.FAILED, "running": JobState.RUNNING}

_GROUP_STATES: dict[bytes, GroupState] = {b"back": "back", b"seen": "seen"}


def read_flags(reply: bytes) -> list[bool]:
    """Read a string of ``1`` and ``0``, one for each item."""
    return [flag == _YES for flag in reply]


def read_accepted(reply: Sequence[Any]) -> list[EnqueueReply]:
    """Read ``enqueue_unique.lua``."""
    part = _ENQUEUE_UNIQUE.reply(*reply)
    holders = iter(part.holders)
    return [next(holders).decode() if one == _LEFT_OUT else one == _YES for one in part.accepted]


def rows(values: Sequence[Any], width: int) -> Iterator[tuple[Any, ...]]:
    """Read a flat list of rows of ``width`` values."""
    return zip(*[iter(values)] * width, strict=True)


def was_made_before(part: Sequence[Any]) -> bool:
    """Return whether a part of the reply of ``claim.lua`` says that ``reclaim.lua`` is to be asked in its place."""
    again: int = _CLAIM.reply(*part).again
    return again == _REPEATED


def read_claim(queues: Sequence[str], reply: Sequence[Any]) -> Claim:
    """Read ``claim.lua``: a part for each of ``queues``."""
    claimed: list[Claimed] = []
    dues: list[int] = []
    again = False
    now_ms = 0
    for queue, each in zip(queues, reply, strict=True):
        part = _CLAIM.reply(*each)
        fence, now_ms = part.fence, part.now_ms
        claimed += [
            claimed_from(queue, job_id.decode(), fence, tries, record) for job_id, tries, record in rows(part.jobs, 3)
        ]
        if part.due_ms >= 0:
            dues.append(part.due_ms)
        again = again or part.again == 1
    return Claim(claimed, now_ms, min(dues, default=None), again)


def read_recovery(reply: Sequence[Any]) -> Recovery:
    """Read ``recover.lua``."""
    part = _RECOVER.reply(*reply)
    return Recovery(*([one.decode() for one in ids] for ids in (part.recovered, part.dead, part.cancelled)))


def read_found(queue: str, job_id: str, reply: Sequence[Any] | None) -> Job | None:
    """Read ``find.lua``."""
    if reply is None:
        return None
    found = _FIND.reply(*reply)
    return _job(queue, job_id, found.record, found.tries, found.place.decode(), found.detail, found.now_ms)


def read_page(queue: str, place: ListedPlace, reply: Sequence[Any]) -> JobPage:
    """Read ``page.lua``."""
    page = _PAGE.reply(*reply)
    return JobPage(_jobs(queue, place, page), page.next.decode())


def read_scan(queue: str, place: Place, reply: Sequence[Any]) -> ScanPage:
    """Read ``scan.lua``."""
    page = _SCAN.reply(*reply)
    return ScanPage(_jobs(queue, place, page), page.next.decode(), page.looked)


def read_location(queue: str, reply: Sequence[Any] | None) -> JobLocation | None:
    """Read ``locate.lua``."""
    if reply is None:
        return None
    found = _LOCATE.reply(*reply)
    hold = hold_of(found.label.decode()) if found.label else None
    return JobLocation(
        found.place.decode(),
        hold,
        _known(found.ahead),
        _known(found.until_ms),
        found.line.decode(),
        read_gate(queue, found.gate, found.now_ms) if found.gate else None,
        _known(found.groups_ahead),
        _known(found.lines_ahead),
    )


def _known(count: int) -> int | None:
    return count if count >= 0 else None


def read_sample(reply: Sequence[Any]) -> Sample:
    """Read ``sample.lua``."""
    part = _SAMPLE.reply(*reply)
    return Sample(part.looked, _counts(part.names), _counts(part.tenants))


def _counts(stored: Sequence[Any]) -> dict[str, int]:
    return {name.decode(errors="replace"): number for name, number in rows(stored, 2)}


def _jobs(queue: str, place: ListedPlace, page: Any) -> list[Job]:
    return [
        _deleted(queue, job_id.decode(), record, tries, detail)
        if place == "deleted"
        else _job(queue, job_id.decode(), record, tries, place, detail, page.now_ms)
        for job_id, record, tries, detail in rows(page.jobs, 4)
    ]


def _job(queue: str, job_id: str, record: bytes, tries: bytes, place: str, detail: Any, now_ms: int) -> Job:
    return job_from(
        queue,
        job_id,
        record,
        tries,
        state=_STATES.get(place),
        situation=_situation(place, detail, now_ms),
        left_ms=-1 if place else detail,
    )


def _deleted(queue: str, job_id: str, record: bytes, kept: bytes, deletion: int) -> Job:
    """Read a deleted job: ``kept`` as in ``include/deleted.lua``."""
    died_at_ms, _, _, tries = [*kept.split(b"|", 3), b"", b"", b""][:4]
    if not died_at_ms.isdigit():
        return job_from(queue, job_id, record, situation=Situation(deletion=deletion))
    situation = Situation(finished_at_ms=int(died_at_ms), deletion=deletion)
    return job_from(queue, job_id, record, tries, state=JobState.FAILED, situation=situation)


def read_dead_groups(queue: str, reply: Sequence[Any]) -> list[DeadGroup]:
    """Read ``dead_groups.lua``."""
    part = _DEAD_GROUPS.reply(*reply)
    groups = []
    for which, heading, state, note, count, last_ms, hours, sample in rows(part.groups, 8):
        first_ms, _, encoded = heading.partition(b" ")
        head = read_heading(encoded)
        groups.append(
            DeadGroup(
                queue=queue,
                id=which.decode(),
                name=head.name,
                error=head.error,
                message=head.message,
                frame=head.frame,
                count=count,
                first_ms=int(first_ms) if first_ms.isdigit() else last_ms,
                last_ms=last_ms,
                hour=sum(hours[-1:]),
                day=sum(hours),
                hours=tuple(hours),
                sample_id=sample.decode(),
                state=_GROUP_STATES.get(state, "new"),
                note=note.decode(errors="replace"),
            )
        )
    left = part.dead - sum(group.count for group in groups)
    return [*groups, DeadGroup(queue=queue, count=left)] if left > 0 else groups


def _situation(place: str, detail: Any, now_ms: int) -> Situation:
    """Read what a script says of the place of a job: a time; of a running job, its run (``include/leases.lua``)."""
    if place == "running":
        return _run(detail, now_ms)
    if place == "scheduled":
        return Situation(due_at_ms=detail)
    return Situation(finished_at_ms=detail) if place in ("failed", "dead") else NO_SITUATION


def _run(stored: bytes, now_ms: int) -> Situation:
    fence, _, rest = stored.decode().partition(" ")
    started_at_ms, _, worker = rest.partition(" ")
    return Situation(
        fence=int(fence),
        started_at_ms=int(started_at_ms) if started_at_ms else None,
        worker=worker,
        seen_at_ms=now_ms or None,
    )


def read_events(reply: Sequence[Any] | None) -> EventPage | None:
    """Read ``read_events.lua``."""
    if reply is None:
        return None
    page = _READ_EVENTS.reply(*reply)
    return EventPage([(number, event) for number, event in rows(page.events, 2)], page.is_over == 1)


def read_turns(reply: Sequence[Any]) -> list[TurnFigures]:
    """Read ``turns.lua``."""
    return [
        TurnFigures(group=group.decode(), priority=priority, weight=float(weight), jobs=jobs)
        for group, priority, weight, jobs in rows(reply, 4)
    ]
