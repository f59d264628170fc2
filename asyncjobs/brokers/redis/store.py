"""Jobs by their place and their id, and what is held back, on Redis."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.brokers.redis.arguments import label_of, time_given
from asyncjobs.brokers.redis.replies import read_dead_groups, read_location, read_page, read_sample, read_scan
from asyncjobs.brokers.redis.scripts import load
from asyncjobs.brokers.redis.session import JOBS_A_CALL, Session
from asyncjobs.core.retention import UNGROUPED
from asyncjobs.ports import (
    CancelReply,
    DeadGroup,
    EditReply,
    GroupState,
    Hold,
    JobLocation,
    JobPage,
    ListedPlace,
    Place,
    Sample,
    ScanPage,
    ScanRequest,
)

__all__ = ["RedisStore"]

# How many jobs one script cancels, since it holds the records of all of them at once.
_CANCELLED_A_CALL = 250

_CANCEL = load("cancel")
_COUNT_DEAD = load("count_dead")
_DEAD_GROUPS = load("dead_groups")
_DELETE = load("delete")
_EDIT = load("edit")
_FORGET_DELETED = load("forget_deleted")
_HOLD = load("hold")
_LOCATE = load("locate")
_MARK_GROUP = load("mark_group")
_PAGE = load("page")
_RETRY = load("retry")
_SAMPLE = load("sample")
_SCAN = load("scan")
_UNDELETE = load("undelete")


class RedisStore(Session):
    """A ``ports.JobStore``."""

    async def page(
        self,
        queue: str,
        place: ListedPlace,
        after: str,
        limit: int,
        tenant: str = "",
        until_ms: int = 0,
        group: str | None = None,
    ) -> JobPage:
        most_bytes = self._portion.bytes
        reply = await self._on_queue(
            _PAGE,
            queue,
            place=place,
            after=after,
            limit=limit,
            tenant=tenant,
            most_bytes=most_bytes,
            until_ms=until_ms,
            group=UNGROUPED if group == "" else group or "",
        )
        return read_page(queue, place, reply)

    async def count_dead(
        self, queue: str, *, tenant: str = "", group: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> int:
        reply = await self._on_queue(
            _COUNT_DEAD, queue, tenant=tenant, group=group, since_ms=since_ms, until_ms=until_ms
        )
        return int(reply)

    async def scan(self, queue: str, request: ScanRequest) -> ScanPage:
        reply = await self._on_queue(
            _SCAN,
            queue,
            request.needles,
            place=request.place,
            after=request.after,
            limit=request.limit,
            most=request.most,
            job_name=request.name,
            tenant=request.tenant,
            most_bytes=self._portion.bytes,
        )
        return read_scan(queue, request.place, reply)

    async def sample(self, queue: str, place: Place, limit: int) -> Sample:
        return read_sample(await self._on_queue(_SAMPLE, queue, place=place, limit=limit))

    async def locate(self, queue: str, job_id: str) -> JobLocation | None:
        return read_location(queue, await self._on_queue(_LOCATE, queue, id=job_id))

    async def cancel(self, queue: str, job_ids: Sequence[str], reason: str, keep_ms: int) -> list[CancelReply]:
        replies: list[CancelReply] = []
        for start in range(0, len(job_ids), _CANCELLED_A_CALL):
            ids = job_ids[start : start + _CANCELLED_A_CALL]
            reply = await self._on_queue(_CANCEL, queue, ids, reason=reason, keep_ms=keep_ms)
            replies += [one.decode() for one in reply]
        return replies

    async def dead_groups(self, queue: str) -> list[DeadGroup]:
        return read_dead_groups(queue, await self._on_queue(_DEAD_GROUPS, queue))

    async def mark_group(self, queue: str, group: str, state: GroupState, note: str) -> bool:
        return bool(await self._on_queue(_MARK_GROUP, queue, group=group, state=state, note=note))

    async def retry(self, queue: str, job_ids: Sequence[str], *, delay_ms: int = 0, spread_ms: int = 0) -> list[bool]:
        flags: list[bool] = []
        for start in range(0, len(job_ids), JOBS_A_CALL):
            ids = job_ids[start : start + JOBS_A_CALL]
            before, own = (spread_ms * count // len(job_ids) for count in (start, len(ids)))
            flags += await self._on_ids(_RETRY, queue, ids, delay_ms=delay_ms + before, spread_ms=own)
        return flags

    async def delete(self, queue: str, job_ids: Sequence[str], *, keep_ms: int = 0, deletion: int = 0) -> list[bool]:
        return await self._on_ids(_DELETE, queue, job_ids, keep_ms=keep_ms, deletion=deletion)

    async def forget_deleted(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_FORGET_DELETED, queue, job_ids)

    async def undelete(self, queue: str, job_ids: Sequence[str]) -> list[bool]:
        return await self._on_ids(_UNDELETE, queue, job_ids)

    async def edit(
        self, queue: str, job_id: str, *, priority: int | None, delay_ms: int | None, due_at_ms: int | None
    ) -> EditReply:
        level = "" if priority is None else priority
        when = time_given(delay_ms, due_at_ms)
        reply: EditReply = (await self._on_queue(_EDIT, queue, id=job_id, priority=level, when=when)).decode()
        return reply

    async def hold(self, queue: str, hold: Hold, on: bool, *, by: str = "", why: str = "") -> bool:
        await self._register(queue)
        return bool(await self._on_queue(_HOLD, queue, label=label_of(hold), holds=on, by=by, why=why))
