"""The verbs of an app for its tenants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from asyncjobs.app.connection import on_app_loop
from asyncjobs.app.tenants import Census, Part, Rank, TenantList, TenantStats, tenant_stats
from asyncjobs.app.verbs.base import Verbs
from asyncjobs.app.verbs.paging import held_in
from asyncjobs.core.bounds import checked_count, shown
from asyncjobs.core.options import checked_tenant, checked_text
from asyncjobs.errors import ArgumentsError
from asyncjobs.ports import Hold, Place, QueueFigures, TenantEnd, TenantFigures

__all__ = ["TenantVerbs"]

_MAX_TENANTS = 1_000

# At how many jobs in all queues is looked, and at how many of each place of a queue at least.
_SAMPLED, _LEAST_SAMPLED = 1_000, 100

# How often the tenants of whom a job has ended are read for one page, where most are listed before.
_MAX_READS = 10

# How many tenants are listed by what a sample tells of them, before all others by their ends.
_MAX_RANKED = 100

# How many characters stand for each of these in the cursors of the pages behind.
_MARK_CHARS = 8

_PLACES: tuple[Place, ...] = ("ready", "scheduled", "parked", "running")


class _Whole(NamedTuple):
    """Behind whom a page of the list of all tenants begins, which is by their ends."""

    at_ms: int
    """When a job of the tenant ended last, in Unix milliseconds; 0 for those of whom none has, who come last."""
    tenant: str
    """The tenant's id, which is empty at the begin."""
    listed: frozenset[str] = frozenset()
    """The marks of the tenants that were listed before by what waits and runs."""

    def has(self, tenant: str) -> bool:
        """Return whether ``tenant`` was listed before."""
        return _mark(tenant) in self.listed


_WHOLE = _Whole(1, "")


def _mark(tenant: str) -> str:
    """Return a digest of a tenant's id, so long that it is hardly ever that of another tenant too.

    One of a million others has that of one of a hundred with a chance of 1 in 2,800,000, and is left out then.
    """
    return base64.urlsafe_b64encode(hashlib.blake2b(tenant.encode(), digest_size=6).digest()).decode()


class TenantVerbs(Verbs):
    """The verbs for tenants."""

    @on_app_loop
    async def tenants(
        self, *, queue: str | Collection[str] | None = None, limit: int = 100, after: str = ""
    ) -> TenantList:
        """Return the tenants, with what waits, runs, is dead and has ended of each.

        These are the tenants of whom a job waits or runs, is dead, or has ended in the last 30 days, and those that
        are suspended.

        Where more than 1,000 jobs wait or run, some of them are looked at, evenly from all queues, and others for each
        page. So only the first tenants go by what waits and runs, on the first page and 100 at most. All others come
        behind them, those of whom a job ended last first. Those of whom no job has ended come last, as far as the
        sample for that page has them.

        Args:
            queue: Only in this queue, or in these queues; by default in all.
            limit: How many tenants at most, 1 to 1,000.
            after: ``next`` of the page before, empty for the first page. A tenant whose numbers change while pages are
                read, or of whom a job ends, may be missed. It may come twice where the numbers are exact, or cease to
                be.

        Returns:
            The tenants and whether the numbers are exact: if they are, those with the most waiting jobs come first.

        Raises:
            ArgumentsError: ``queue`` can't be the name of a queue, ``limit`` is no such number, or ``after`` is not the
                ``next`` of a page.

        Example:
            ```python
            for one in (await app.tenants(limit=10)).tenants:
                print(one.tenant, one.waiting, one.running, one.failed)
            ```
        """
        limit = checked_count("limit", limit, least=1)
        if limit > _MAX_TENANTS:
            raise ArgumentsError(f"limit={limit}: expected at most {_MAX_TENANTS:,}")
        begin = _read_cursor(after)
        queues = await self._queues(queue)
        figures = await self._broker.overview(queues)
        parts = await self._parts(figures)
        is_exact = sum(one.size for one in parts) <= _SAMPLED
        census = Census(figures, parts, is_exact=is_exact)
        tenants, then = await self._page(queues, census, limit, begin)
        ends = await self._broker.tenant_ends(queues, tenants)
        own = await self._figures_of_each(tenants, queues, ends)
        latest = _latest(ends)
        found = [census.summary(tenant, of_tenant, latest.get(tenant)) for tenant, of_tenant in own.items()]
        return TenantList(
            tenants=[one for one in found if one is not None],
            next="" if then is None else _cursor(then),
            waiting=sum(one.size for one in parts if one.place != "running"),
            running=sum(one.size for one in parts if one.place == "running"),
            looked_at=sum(one.sample.looked_at for one in parts),
            is_exact=is_exact,
        )

    async def _parts(self, figures: Iterable[QueueFigures]) -> list[Part]:
        """Return the places of queues in which there are jobs, and look at some of these."""
        sizes = {(one.name, place): held_in(one, place) for one in figures for place in _PLACES}
        sizes = {part: size for part, size in sizes.items() if size}
        a_job = min(1.0, _SAMPLED / max(1, sum(sizes.values())))
        samples = await asyncio.gather(
            *(
                self._broker.sample(queue, place, max(_LEAST_SAMPLED, round(size * a_job)))
                for (queue, place), size in sizes.items()
            )
        )
        return [Part(place, size, one) for ((_, place), size), one in zip(sizes.items(), samples, strict=True)]

    async def _page(
        self, queues: Sequence[str], census: Census, limit: int, begin: _Cursor | None
    ) -> tuple[list[str], _Cursor | None]:
        """Return the tenants of a page, and behind whom the next one begins; ``None`` if there is none."""
        if begin is not None and not census.is_exact and not isinstance(begin, _Whole):
            # Numbers of jobs that were all counted mean nothing in a sample, but ends are what they were.
            begin = _Whole(begin.at_ms, begin.tenant) if isinstance(begin, TenantEnd) else _WHOLE
        if isinstance(begin, _Whole):
            return await self._whole(queues, census, limit, begin)
        if isinstance(begin, TenantEnd):
            return await self._ended(queues, census.__contains__, limit, begin)
        ranks = census.ranks(begin)
        if census.is_exact:
            return await self._ranked(queues, census, limit, ranks)
        first = [one.tenant for one in ranks[: min(limit, _MAX_RANKED)]]
        behind = _WHOLE._replace(listed=frozenset(map(_mark, first)))
        others, then = await self._whole(queues, census, max(1, limit - len(first)), behind)
        if len(first) == limit:
            return first, behind if others or then else None
        return [*first, *others], then

    async def _ranked(
        self, queues: Sequence[str], census: Census, limit: int, ranks: Sequence[Rank]
    ) -> tuple[list[str], Rank | TenantEnd | None]:
        """Return tenants by what waits and runs, then those of whom a job has ended, and behind whom the next begin."""
        first = [one.tenant for one in ranks[:limit]]
        if len(ranks) > limit:
            return first, ranks[limit - 1]
        ended, end = await self._ended(queues, census.__contains__, max(1, limit - len(first)), None)
        if len(first) == limit:
            return first, ranks[-1] if ended or end else None
        return [*first, *ended], end

    async def _whole(
        self, queues: Sequence[str], census: Census, limit: int, after: _Whole
    ) -> tuple[list[str], _Whole | None]:
        """Return tenants by their ends, then those without an end, and behind whom the next begin."""
        found: list[str] = []
        if after.at_ms:
            behind = TenantEnd(after.tenant, after.at_ms) if after.tenant else None
            found, end = await self._ended(queues, after.has, limit, behind)
            if end is not None:
                return found, after._replace(at_ms=end.at_ms, tenant=end.tenant)
        known = _latest(await self._broker.tenant_ends(queues, [*census]))
        begin = "" if after.at_ms else after.tenant
        others = sorted(one for one in census if one not in known and one > begin and not after.has(one))
        page = others[: limit - len(found)]
        then = after._replace(at_ms=0, tenant=page[-1] if page else begin)
        return [*found, *page], then if len(page) < len(others) else None

    async def _ended(
        self, queues: Sequence[str], is_listed: Callable[[str], bool], limit: int, after: TenantEnd | None
    ) -> tuple[list[str], TenantEnd | None]:
        """Return tenants of whom a job has ended, latest first, and behind whom the next begin."""
        found: list[TenantEnd] = []
        for _ in range(_MAX_READS):
            each = await self._broker.tenants(queues, limit + 1, after)
            # Behind the first place to which a queue was read, others may have tenants that weren't read.
            cut = max((one[-1] for one in each if len(one) > limit), key=_end_order, default=None)
            read = sorted({*itertools.chain.from_iterable(each)}, key=_end_order, reverse=True)
            latest = _latest(await self._broker.tenant_ends(queues, [*{one.tenant for one in read}]))
            for one in read:
                if cut is not None and _end_order(one) < _end_order(cut):
                    break
                # In another queue, a job of it may have ended later: there it was listed.
                if not is_listed(one.tenant) and latest.get(one.tenant) == one.at_ms:
                    if len(found) == limit:
                        return [end.tenant for end in found], found[-1]
                    found.append(one)
            if cut is None:
                return [end.tenant for end in found], None
            after = cut
        return [end.tenant for end in found], after

    async def _figures_of_each(
        self, tenants: Iterable[str], queues: Sequence[str], ends: Sequence[Mapping[str, int]]
    ) -> dict[str, list[TenantFigures]]:
        """Return the figures of each tenant in the queues that have any, which ``ends`` tells."""
        own: dict[str, list[TenantFigures]] = {tenant: [] for tenant in tenants}
        asked = [(queue, tenant) for tenant in own for queue, here in zip(queues, ends, strict=True) if tenant in here]
        for (_, tenant), one in zip(asked, await self._broker.tenant_figures(asked), strict=True):
            own[tenant].append(one)
        return own

    @on_app_loop
    async def tenant_stats(self, tenant: str, *, queue: str | Collection[str] | None = None) -> TenantStats:
        """Return what the jobs of a tenant came to, in all and queue by queue; for an unknown tenant, zeros.

        The counters of a queue begin anew if none of the tenant's jobs has ended in it for 30 days.

        Args:
            tenant: The tenant's id.
            queue: Only in this queue, or in these queues; by default in all.

        Raises:
            ArgumentsError: ``tenant`` can't be the id of a tenant, or ``queue`` the name of a queue.
        """
        hold = Hold("tenant", checked_tenant(tenant))
        queues = await self._queues(queue)
        figures = await self._broker.tenant_figures([(one, tenant) for one in queues])
        suspended = {one.name for one in await self._broker.overview(queues) if hold in one.holds}
        return tenant_stats(tenant, dict(zip(queues, figures, strict=True)), suspended)


def _latest(ends: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return when a job of each tenant ended last, by what each queue tells."""
    latest: dict[str, int] = {}
    for here in ends:
        for tenant, at_ms in here.items():
            latest[tenant] = max(at_ms, latest.get(tenant, 0))
    return latest


def _end_order(end: TenantEnd) -> tuple[int, str]:
    return end.at_ms, end.tenant


_Cursor = Rank | TenantEnd | _Whole


def _cursor(place: _Cursor) -> str:
    if isinstance(place, Rank):
        return f"{place.waiting} {place.running} {place.tenant}"
    if isinstance(place, TenantEnd):
        return f"{place.at_ms} - {place.tenant}"
    return f"{place.at_ms} *{''.join(sorted(place.listed))} {place.tenant}"


def _read_cursor(text: str) -> _Cursor | None:
    """Return where a page begins, ``None`` for the first one.

    Raises:
        ArgumentsError: ``text`` is no cursor of a page.
    """
    if not checked_text("after", text):
        return None
    number, _, rest = text.partition(" ")
    other, _, tenant = rest.partition(" ")
    if _is_number(number):
        if other.startswith("*") and len(other) % _MARK_CHARS == 1 and len(other) <= 1 + _MARK_CHARS * _MAX_RANKED:
            marks = (other[start : start + _MARK_CHARS] for start in range(1, len(other), _MARK_CHARS))
            return _Whole(int(number), tenant, frozenset(marks))
        if other == "-" and tenant:
            return TenantEnd(tenant, int(number))
        if _is_number(other) and tenant:
            return Rank(int(number), int(other), tenant)
    raise ArgumentsError(f"after={shown(text)}: expected the next of a page before; leave it out for the first page")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 15
