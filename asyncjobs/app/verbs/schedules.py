"""The verbs of an app for schedules: add, list, find, pause, resume, remove and trigger them at run time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from asyncjobs.app.audit import note
from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.core.bounds import checked_count
from asyncjobs.core.duration import Duration, to_ms, utc_time
from asyncjobs.core.identity import kept_id
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_id
from asyncjobs.core.schedule import Missed, Schedule, Timing, next_tick, upcoming
from asyncjobs.core.settlement import HistoryEntry
from asyncjobs.core.states import JobState
from asyncjobs.core.view import SECRET
from asyncjobs.errors import ArgumentsError, EnvelopeError, UnknownSchedule, closest
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.ids import new_id
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.tenant_scope import id_here, is_here, requests_here
from asyncjobs.jobs.ticks import decode_schedule, encode_schedule, request_of, schedule_of, template_of
from asyncjobs.ports import StoredSchedule

__all__ = ["ScheduleInfo", "ScheduleRun", "ScheduleVerbs"]


# How many ends of the name are looked at for that of the latest job, and how much of its error is told.
_LOOKED_AT = 100
_ERROR_CHARS = 500


class ScheduleRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the latest job of a schedule: did it work?"""

    job_id: str
    """The id of the job."""
    state: JobState | None = None
    """Its state; ``None`` once neither its record nor the history of its name has it any longer."""
    late_ms: int | None = None
    """How long after its tick it began, in milliseconds; ``None`` if it hasn't, or that isn't known."""
    duration_ms: float | None = None
    """How long its last attempt ran, or has run so far, in milliseconds."""
    finished_at: datetime | None = None
    """When it ended, in UTC."""
    error: str = ""
    """Of a failed job, the type and message of its last error; of a cancelled one, the reason."""


class ScheduleInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as it stands."""

    id: str
    """The schedule's id; with its tenant, as in ``@acme:nightly``."""
    name: str
    """The job name."""
    queue: str
    """The queue of its jobs."""
    cron: str | None
    """Its cron expression, ``None`` for an interval."""
    every: float | None
    """Its interval in seconds, ``None`` for a cron expression."""
    timezone: str
    """The IANA name of its time zone."""
    missed: Missed
    """Which ticks fire that came while no worker was there: ``once``, ``skip`` or ``all``."""
    bound: int
    """How many missed ticks fire at most, with ``all``."""
    paused: bool
    """Whether it is paused."""
    from_code: bool
    """Whether it belongs to a ``@job(cron=…)`` or ``@job(every=…)``."""
    next_at: datetime | None
    """Its next tick, in UTC; ``None`` while it is paused."""
    last_at: datetime | None
    """The latest tick that has fired, in UTC; ``None`` before the first."""
    arguments: list[Any]
    """The arguments of each of its jobs, in the order of the handler's parameters; ``‹secret›`` in place of a secret
    one."""
    tenant: str | None
    """The tenant of its jobs, if they have one."""
    last_run: ScheduleRun | None = None
    """What became of the job of the latest tick that has fired; ``None`` before the first."""
    encrypted_with: str = ""
    """The id of the key with which the arguments are encrypted, where they can't be decrypted and are left out."""
    overlap: bool = True
    """Whether a tick fires while the job of the tick before still waits or runs."""
    skipped: int = 0
    """How many ticks were skipped because it did, where ``overlap`` is false."""
    last_skipped_at: datetime | None = None
    """The latest of these ticks, in UTC; ``None`` before the first."""
    problem: str = ""
    """Why it can't be read here, as when a newer asyncjobs has written it; empty if it can. Of one that can't, only
    ``id``, ``queue``, ``paused``, ``next_at`` and ``last_at`` are known."""

    def upcoming(self, count: int = 5, after: datetime | None = None) -> list[datetime]:
        """Return the next ticks, in the schedule's time zone.

        Args:
            count: How many ticks.
            after: The time after which they come, an aware datetime; by default now.

        Raises:
            ArgumentsError: ``count`` is no count.
        """
        checked_count("count", count)
        if self.problem:
            return []
        timing = Timing(
            cron=self.cron or "", every_ms=round((self.every or 0) * 1000), timezone=self.timezone, missed=self.missed
        )
        return upcoming(timing, round((after or datetime.now(UTC)).timestamp() * 1000), count)


class ScheduleVerbs(Verbs):
    """The verbs for schedules. Without ``queue``, they search all queues; in a tenant's scope, its own schedules."""

    @on_app_loop
    async def add_schedule(
        self,
        schedule_id: str,
        request: JobRequest[Any],
        *,
        cron: str | None = None,
        every: Duration | None = None,
        timezone: str = "UTC",
        missed: Missed = "once",
        bound: int = 100,
        overlap: bool = True,
    ) -> ScheduleInfo:
        """Add a schedule, or replace the one of the same id, queue and tenant; each of its ticks enqueues a job.

        Each tick fires once, however many workers there are.

        Args:
            schedule_id: The schedule's id, 1 to 200 characters without white space. Without a tenant it must not begin
                with ``@``.
            request: The job of each tick, made by ``job.request(…)``. The schedule is its tenant's; without one, the
                tenant's that the code around runs for.
            cron: A cron expression: five fields, or six with seconds first.
            every: An interval, in place of ``cron``: seconds or ``timedelta``, 1 s or more, counted from 1970.
            timezone: The IANA name of the time zone in which ``cron`` is read.
            missed: Which ticks fire that came while no worker was there: the latest (``once``), none that is older than
                a minute (``skip``), or each (``all``).
            bound: How many missed ticks fire at most, with ``all``; 1 to 1,000, the latest.
            overlap: Whether a tick fires while the job of the tick before still waits or runs. With ``False`` it is
                skipped.

        Returns:
            The schedule as it stands.

        Raises:
            ArgumentsError: A value is wrong. The message names it.
            ConfigurationError: ``cron`` is used without the package cronsim.

        Example:
            ``await app.add_schedule("digest:42", digest.request(42), cron="0 8 * * *", timezone="Europe/Berlin")``
        """
        every_ms = None if every is None else to_ms("every", every, least_ms=1_000)
        timing = Timing.of(cron=cron, every_ms=every_ms, timezone=timezone, missed=missed, bound=bound, overlap=overlap)
        schedule_id = checked_id("schedule_id", schedule_id)
        # Middleware sees the job of each tick, in the worker that fires it, and not this template.
        [request] = requests_here([request])
        if request._unique is not None and request._unique.wait_ms:
            raise ArgumentsError(f"{request.name} is debounced, which would put off each tick of a schedule")
        # Under the id of the schedule, to which encryption binds the arguments.
        kept = kept_id(request.options.tenant or "", schedule_id)
        prepared = self._sender.prepare(msgspec.structs.replace(request, id=kept, _unique=None), sent_at_ms=0)
        schedule = schedule_of(kept, timing, request, prepared)
        now_ms = (await self._broker.schedules(prepared.queue)).now_ms
        tick = next_tick(timing, now_ms)
        is_new = await self._broker.put_schedule(prepared.queue, schedule.id, encode_schedule(schedule), tick)
        await self._note("add_schedule", schedule.id, prepared.queue, is_new)
        return await self._info(*await self._kept(schedule.id, prepared.queue))

    @on_app_loop
    async def schedules(self, queue: str | None = None) -> list[ScheduleInfo]:
        """Return the schedules of all queues, or of one ``queue``; the next to fire comes first."""
        queues = await self._queues(queue)
        lists = await asyncio.gather(*map(self._broker.schedules, queues))
        kept = [
            (one, stored)
            for one, found in zip(queues, lists, strict=True)
            for stored in found.schedules
            if is_here(stored.id)
        ]
        # At once, so that they share round trips.
        found = await asyncio.gather(*(self._info(one, stored) for one, stored in kept))
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(found, key=lambda info: (info.next_at or last, info.id))

    @on_app_loop
    async def find_schedule(self, schedule_id: str, *, queue: str | None = None) -> ScheduleInfo:
        """Return a schedule as it stands.

        Args:
            schedule_id: The schedule's id.
            queue: Its queue; by default all queues are searched.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        return await self._info(*await self._stored(schedule_id, queue))

    async def _info(self, queue: str, stored: StoredSchedule) -> ScheduleInfo:
        """Return a schedule as it stands, with what became of its latest job."""
        info, template = _info(queue, stored)
        if template is not None:
            job = await self._lookup.naming.named(template)
            shown = [] if job.encrypted_with else _shown_arguments(job)
            info = msgspec.structs.replace(info, arguments=shown, encrypted_with=job.encrypted_with)
        return msgspec.structs.replace(info, last_run=await self._last_run(info, stored)) if stored.last_job else info

    async def _last_run(self, info: ScheduleInfo, stored: StoredSchedule) -> ScheduleRun:
        job = await self._lookup.find(stored.last_job, queue=info.queue)
        if job is not None:
            return _run_of(job, stored.last_ms)
        # Results are kept for an hour, say, and histories for longer.
        entries = await self._broker.history(info.queue, _LOOKED_AT, name=info.name)
        entry = next((one for one in entries if one.id == stored.last_job), None)
        return ScheduleRun(job_id=stored.last_job) if entry is None else _run_in(entry, stored.last_ms)

    async def _note(self, verb: str, schedule_id: str, queue: str, is_done: bool) -> None:
        await note(self._broker, verb, schedule_id, queue=queue, count=is_done, of_one=True)

    async def _stored(self, schedule_id: str, queue: str | None) -> tuple[str, StoredSchedule]:
        """Return the queue and the record of the schedule that the caller calls ``schedule_id``."""
        return await self._kept(id_here(schedule_id), queue)

    async def _kept(self, schedule_id: str, queue: str | None) -> tuple[str, StoredSchedule]:
        others = []
        for one in await self._queues(queue):
            for stored in (await self._broker.schedules(one)).schedules:
                if stored.id == schedule_id:
                    return one, stored
                others.append(stored.id)
        where = "in any queue" if queue is None else f"in queue {queue!r}"
        raise UnknownSchedule(
            f"there is no schedule {schedule_id!r} {where}; app.schedules() lists those there are."
            f"{closest(schedule_id, filter(is_here, others))}"
        )

    @on_app_loop
    async def pause_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a schedule fire no more, until ``resume_schedule``.

        Args:
            schedule_id: The schedule's id.
            queue: Its queue; by default all queues are searched.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        where, stored = await self._stored(schedule_id, queue)
        await self._broker.move_schedule(where, stored.id, None)
        await self._note("pause_schedule", stored.id, where, stored.next_ms is not None)

    @on_app_loop
    async def resume_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Let a paused schedule fire again, from its next tick on; ticks of the pause are left out.

        Args:
            schedule_id: The schedule's id.
            queue: Its queue; by default all queues are searched.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self._broker.schedules(where)).now_ms
        tick = next_tick(decode_schedule(stored.data).timing, now_ms)
        await self._broker.move_schedule(where, stored.id, tick)
        await self._note("resume_schedule", stored.id, where, stored.next_ms is None)

    @on_app_loop
    async def remove_schedule(self, schedule_id: str, *, queue: str | None = None) -> None:
        """Delete a schedule; the jobs that it has enqueued stay.

        A schedule of ``@job(cron=…)`` or ``@job(every=…)`` comes back when a worker starts with that code.

        Args:
            schedule_id: The schedule's id.
            queue: Its queue; by default all queues are searched.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        where, stored = await self._stored(schedule_id, queue)
        is_removed = await self._broker.remove_schedule(where, stored.id)
        await self._note("remove_schedule", stored.id, where, is_removed)

    @on_app_loop
    async def trigger_schedule(self, schedule_id: str, *, queue: str | None = None) -> JobHandle[Any]:
        """Enqueue the job of a schedule now, in addition to its ticks.

        Args:
            schedule_id: The schedule's id.
            queue: Its queue; by default all queues are searched.

        Returns:
            The handle of the job.

        Raises:
            UnknownSchedule: There is no such schedule.
        """
        where, stored = await self._stored(schedule_id, queue)
        now_ms = (await self._broker.schedules(where)).now_ms
        schedule = decode_schedule(stored.data)
        request = request_of(schedule, where, now_ms, new_id(), encryption=self._encryption)
        [handle] = await self._sender.send_many([request])
        await self._note("trigger_schedule", stored.id, where, True)
        return handle


def _run_of(job: Job, tick_ms: int | None) -> ScheduleRun:
    """Return what became of a job of which there is a record."""
    error = job.reason if job.state is JobState.CANCELLED else ""
    if job.state is JobState.FAILED and job.errors:
        error = f"{job.errors[-1].type}: {job.errors[-1].message}"
    return ScheduleRun(
        job_id=job.id,
        state=job.state,
        late_ms=_late_ms(job.started_at_ms, tick_ms),
        duration_ms=job.duration_ms,
        finished_at=utc_time(job.finished_at_ms),
        error=error[:_ERROR_CHARS],
    )


def _run_in(entry: HistoryEntry, tick_ms: int | None) -> ScheduleRun:
    """Return what became of a job by the history of its name."""
    duration_ms = entry.duration_us / 1_000
    return ScheduleRun(
        job_id=entry.id,
        state=JobState(entry.state),
        late_ms=_late_ms(entry.finished_at_ms - round(duration_ms), tick_ms),
        duration_ms=duration_ms,
        finished_at=utc_time(entry.finished_at_ms),
        error=entry.error[:_ERROR_CHARS],
    )


def _late_ms(started_at_ms: int | None, tick_ms: int | None) -> int | None:
    return None if started_at_ms is None or tick_ms is None else max(0, started_at_ms - tick_ms)


#: Stands for a schedule that can't be read.
_UNREADABLE = Schedule(id="", name="", timing=Timing(), body=b"")


def _info(queue: str, stored: StoredSchedule) -> tuple[ScheduleInfo, Job | None]:
    """Return a schedule without its arguments, and the job of its ticks where that can be read."""
    template: Job | None
    problem = ""
    try:
        schedule = decode_schedule(stored.data)
        template = template_of(schedule, queue)
    except EnvelopeError as error:
        schedule, template, problem = _UNREADABLE, None, str(error)
    timing = schedule.timing
    info = ScheduleInfo(
        id=stored.id,
        name=schedule.name,
        queue=queue,
        cron=timing.cron or None,
        every=timing.every_ms / 1000 if timing.every_ms else None,
        timezone=timing.timezone,
        missed=timing.missed,
        bound=timing.bound,
        overlap=timing.overlap,
        skipped=stored.skipped,
        last_skipped_at=utc_time(stored.skipped_ms),
        paused=stored.next_ms is None,
        from_code=schedule.from_code,
        next_at=utc_time(stored.next_ms),
        last_at=utc_time(stored.last_ms),
        arguments=[],
        tenant=schedule.tenant or None,
        problem=problem,
    )
    return info, template


def _shown_arguments(job: Job) -> list[Any]:
    named = job.named_arguments
    return [SECRET if name in job.secret else value for name, value in named.items()]
