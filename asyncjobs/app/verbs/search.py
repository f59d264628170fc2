"""The verbs of an app that tell what is in its queues: a search through the jobs, and a sample of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, NamedTuple, get_args

import msgspec

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.naming import Naming
from asyncjobs.app.reasons import Why
from asyncjobs.app.stats import queue_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import JOBS_A_SCAN, ListedState, held_in, place_of
from asyncjobs.app.why import why
from asyncjobs.core.bounds import MAX_COUNT, checked_count
from asyncjobs.core.cursor import cursor_of, read_cursor
from asyncjobs.core.job import Job
from asyncjobs.core.options import checked_queue, checked_text
from asyncjobs.core.retry import RetryPolicy
from asyncjobs.core.search import has_text, needles_of
from asyncjobs.errors import ArgumentsError, UnknownJobName
from asyncjobs.jobs.tenant_scope import id_here, tenant_here
from asyncjobs.ports import JobStore, Place, Sample, ScanRequest

__all__ = ["JobsFound", "SearchVerbs", "why_of"]

#: With how many jobs looked at a search ends, after how long, and with how many bytes of arguments. Redis serves others
#: between its calls.
MAX_LOOKED_AT = 50_000
MAX_SECONDS = 0.3
MAX_BYTES = 8 << 20

_MAX_SAMPLE = 10_000

_Part = tuple[Place, str, str]
"""A place of a queue, and the cursor from which it is searched."""


class JobsFound(NamedTuple):
    """Some of the jobs that a search looks for."""

    jobs: list[Job]
    """The jobs, state by state and queue by queue; dead ones latest first, others in the order in which they start."""
    next: str
    """``after`` of the search that goes on from here, empty if all jobs were looked at."""
    looked_at: int
    """How many jobs were looked at, also by the searches that this one goes on from."""
    total: int
    """How many jobs there are now in the states and queues that are searched."""


class _Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a search goes on."""

    looked_at: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)] = 0
    place: str = ""
    queue: str = ""
    after: str = ""


class SearchVerbs(Verbs):
    """The verbs that look into queues."""

    @on_app_loop
    async def search_jobs(
        self,
        text: str | None = None,
        *,
        name: str | None = None,
        tenant: str | None = None,
        state: ListedState | None = None,
        queue: str | Collection[str] | None = None,
        limit: int = 50,
        after: str = "",
    ) -> JobsFound:
        """Search jobs that have not ended, dead ones included.

        One search looks at 50,000 jobs at most, and ends after about 0.3 seconds. So it may find fewer jobs than there
        are, or none yet. ``next`` goes on.

        Args:
            text: Only jobs in which this text stands: in the id, the name, an argument, the metadata, a header or an
                error. Upper and lower case differ. A text that is a number finds an argument that is this number.
            name: Only jobs of this name.
            tenant: Only jobs of this tenant; by default of the tenant that the code around runs for, if there is one.
            state: Only jobs that are ``ready``, ``scheduled``, ``running``, ``parked`` (set aside) or ``failed`` (in
                the dead letter queue).
            queue: Only jobs of this queue, or of these queues.
            limit: How many jobs at most, 1 or more.
            after: ``next`` of the search to go on from, with the same filter.

        Returns:
            The jobs, ``next``, at how many jobs the searches have looked so far, and how many there are.

        Raises:
            ArgumentsError: There is no such ``state``, ``after`` is not the ``next`` of this search, a text is none,
                ``tenant`` can't be the id of a tenant, or ``limit`` is no count.

        Example:
            ```python
            found = await app.search_jobs("user123@example.com", state="ready")
            more = await app.search_jobs("user123@example.com", state="ready", after=found.next)
            ```
        """
        limit = checked_count("limit", limit, least=1)
        places = [*map(place_of, get_args(ListedState) if state is None else (state,))]
        text = checked_text("text", text) if text else ""
        is_filtered = bool(text or name or tenant_here(tenant))
        asked = ScanRequest(
            place="ready",
            limit=JOBS_A_SCAN if is_filtered else min(JOBS_A_SCAN, limit),
            most=limit,
            name=checked_text("name", name) if name else "",
            tenant=tenant_here(tenant) or "",
            needles=needles_of(text) if text else (),
        )
        queues = sorted(await self._queues(queue))
        question = (text, asked.name, asked.tenant, state, None if queue is None else queues)
        begin = read_cursor("after", after, _Position, *question)
        figures = await self._broker.overview(queues) if queues else []
        sizes = {(place, one.name): held_in(one, place) for place in places for one in figures}
        search = _Search(self._broker, self._lookup.naming, asked, text, begin.looked_at)
        rest = await search.run(_left(sizes, begin))
        after = "" if rest is None else cursor_of(rest, *question)
        return JobsFound(search.found, after, search.looked_at, sum(sizes.values()))

    @on_app_loop
    async def sample_queue(self, queue: str, state: ListedState = "ready", *, limit: int = 1_000) -> Sample:
        """Tell which job names a queue holds, from some of its jobs.

        The jobs are taken evenly from the whole queue, so their shares are about those of all jobs.

        Args:
            queue: The queue.
            state: Of which jobs: ``ready``, ``scheduled``, ``running``, ``parked`` (set aside) or ``failed`` (in the
                dead letter queue).
            limit: How many jobs to look at, 1 to 10,000; a few more may be.

        Returns:
            How many jobs were looked at, and how many of them have each name.

        Raises:
            ArgumentsError: There is no such ``state``, ``queue`` can't be the name of a queue, or ``limit`` is no such
                number.
        """
        limit = checked_count("limit", limit, least=1)
        if limit > _MAX_SAMPLE:
            raise ArgumentsError(f"limit={limit}: expected at most {_MAX_SAMPLE:,}")
        return await self._broker.sample(checked_queue(queue), place_of(state), limit)

    @on_app_loop
    async def why(self, job_id: str, *, queue: str | None = None) -> Why:
        """Tell why a job doesn't run, or what it does instead.

        Args:
            job_id: The job's id.
            queue: Its queue; by default all queues are searched.

        Returns:
            The reasons, each with its figures. As text, it is one sentence a reason.

        Raises:
            UnknownJob: There is no record of the job.

        Example:
            ``print(await app.why("01JZ3E5Q8Y6W2K0N4M7R9T1V3X"))``
        """
        return await self._why(await self._lookup.known(id_here(job_id), queue))

    async def _why(self, job: Job) -> Why:
        """Return why a job that was found doesn't run."""
        [figures], location, workers = await asyncio.gather(
            self._broker.overview([job.queue]), self._broker.locate(job.queue, job.id), self._broker.workers()
        )
        max_retries = self._max_retries(job)
        return why(job, location, queue_stats(figures), workers, now=datetime.now(UTC), max_retries=max_retries)

    def _max_retries(self, job: Job) -> int | None:
        """Return how many retries a job has, ``None`` where its code isn't known, or a function decides."""
        if job.envelope.max_retries is not None:
            return job.envelope.max_retries
        try:
            given = self.registry.get(job.name).options.retry
        except UnknownJobName:
            return None
        retry = self.retry if given is msgspec.UNSET else given
        return retry.max_retries if isinstance(retry, RetryPolicy) else None


@on_app_loop
async def why_of(app: SearchVerbs, job: Job) -> Why:
    """Return why ``job``, as it was read, doesn't run; as ``app.why`` does for its id."""
    return await app._why(job)


class _Search:
    """One search, until it has found enough, or looked at enough."""

    def __init__(self, broker: JobStore, naming: Naming, asked: ScanRequest, text: str, looked_at: int) -> None:
        self._broker = broker
        self._naming = naming
        self._asked = asked
        self._text = text
        self._until = time.monotonic() + MAX_SECONDS
        self._last = looked_at + MAX_LOOKED_AT
        self.looked_at = looked_at
        self.found: list[Job] = []
        self._bytes = 0

    async def run(self, parts: Sequence[_Part]) -> _Position | None:
        """Search parts of queues, each from a cursor on; return where the rest begins, ``None`` if there is none."""
        for number, (place, queue, after) in enumerate(parts):
            rest = await self._search(place, queue, after)
            if rest:
                return _Position(self.looked_at, place, queue, rest)
            if self._has_to_end and number + 1 < len(parts):
                return _Position(self.looked_at, *parts[number + 1])
        return None

    async def _search(self, place: Place, queue: str, after: str) -> str:
        """Search one part; return the cursor of the rest of it, empty if there is none."""
        while True:
            asked = msgspec.structs.replace(
                self._asked,
                place=place,
                after=after,
                limit=min(self._asked.limit, self._last - self.looked_at),
                most=self._asked.most - len(self.found),
            )
            page = await self._broker.scan(queue, asked)
            # What is secret is known by the names of the arguments.
            jobs = await self._naming.all_named(page.jobs)
            self.found += [job for job in jobs if not self._text or has_text(job, self._text)]
            self._bytes += sum(len(memoryview(job.envelope.arguments)) for job in page.jobs)
            self.looked_at += page.looked_at
            after = page.next
            if not after or self._has_to_end:
                return after

    @property
    def _has_to_end(self) -> bool:
        return (
            len(self.found) >= self._asked.most
            or self._bytes >= MAX_BYTES
            or self.looked_at >= self._last
            or time.monotonic() >= self._until
        )


def _left(sizes: Mapping[tuple[Place, str], int], begin: _Position) -> list[_Part]:
    """Return what is left to search, from ``begin`` on; ``sizes`` says how many jobs there are in each part."""
    parts = list(sizes)
    places = [*dict.fromkeys(place for place, _ in parts)]
    if begin.place not in places:
        return [(*part, "") for part in parts if sizes[part]]
    here = places.index(begin.place), begin.queue
    left: list[_Part] = []
    for part in parts:
        place, queue = part
        at = places.index(place), queue
        if at == here:
            left.append((place, queue, begin.after))
        elif at > here and sizes[part]:
            left.append((place, queue, ""))
    return left
