"""``JobStore.dead_groups``, ``mark_group``, and the page of a group: dead jobs by what they died of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncjobs.core.record.envelope import JobError
from asyncjobs.core.retention import GROUP_KEEP_MS, MAX_GROUPS, OTHER_GROUP, UNKNOWN_NAME_GROUP, WORKERS_DIED_GROUP
from asyncjobs.core.settlement import Failed
from asyncjobs.ports import DeadGroup
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Grouping"]

_TRACE = 'Traceback:\n  File "/srv/shop/db/pool.py", line 88, in acquire\n    raise\n'


async def _bury(bench: Bench, *messages: str, name: str = "work", tenant: str = "") -> list[str]:
    """Send a job for each message, and let it die with that message; return their ids."""
    sent = []
    for message in messages:
        sent += await bench.send(bench.new(name, tenant=tenant))
        error = JobError("ConnectionError", message, _TRACE, 1, 1_000)
        await bench.settle((await bench.claim(1)).jobs, Failed(error, retryable=False))
    return sent


async def _groups(bench: Bench) -> list[DeadGroup]:
    groups = await bench.broker.dead_groups(bench.queue)
    assert sum(group.count for group in groups) == (await bench.figures()).dead
    return groups


async def _ids_of(bench: Bench, group: str, *, limit: int = 100, tenant: str = "") -> Sequence[str]:
    page = await bench.broker.page(bench.queue, "dead", "", limit, tenant, 0, group)
    found = page.jobs
    while page.next:
        page = await bench.broker.page(bench.queue, "dead", page.next, limit, tenant, 0, group)
        found += page.jobs
    return [job.id for job in found]


class Grouping(Theme):
    """What ``dead_groups`` and ``mark_group`` promise, and ``page`` of a group."""

    async def test_jobs_that_died_of_the_same_are_one_group(self, bench: Bench) -> None:
        first = await _bury(bench, "to 10.0.0.7:5432 refused after 1200 ms", name="charge")
        await bench.kit.advance(1_000)
        [other] = await _bury(bench, "to 10.0.0.7:5432 refused after 1200 ms")
        await bench.kit.advance(1_000)
        first += await _bury(bench, "to 10.0.0.9:5432 refused after 3400 ms", name="charge")
        group, single = await _groups(bench)
        assert (group.queue, group.name, group.error) == (bench.queue, "charge", "ConnectionError")
        assert (group.message, group.frame) == ("to <ip>:<n> refused after <n> ms", "db/pool.py:88 in acquire")
        assert (group.count, group.hour, group.day, group.sample_id) == (2, 2, 2, first[1])
        assert 2_000 <= group.last_ms - group.first_ms < 60_000
        assert (group.state, group.note, len(group.id)) == ("new", "", 16)
        assert (single.name, single.count, single.sample_id) == ("work", 1, other)
        assert await _ids_of(bench, group.id, limit=1) == first[::-1]
        assert await _ids_of(bench, single.id) == [other]
        assert await _ids_of(bench, "nobody") == await _ids_of(bench, "") == []

    async def test_the_dead_are_counted_by_group_by_tenant_and_by_time(self, bench: Bench) -> None:
        await _bury(bench, "no", "no", tenant="acme")
        await _bury(bench, "yes")
        at_ms = max(job.finished_at_ms or 0 for job in await bench.jobs_in("dead")) + 1
        await bench.kit.advance(2_000)
        await _bury(bench, "no", tenant="globex")
        group = next(one.id for one in await _groups(bench) if one.message == "no")

        async def count(**which: Any) -> int:
            return await bench.broker.count_dead(bench.queue, **which)

        assert [await count(), await count(until_ms=at_ms), await count(since_ms=at_ms)] == [4, 3, 1]
        assert await count(until_ms=at_ms - 1) < 3
        assert [await count(group=group), await count(group=group, until_ms=at_ms)] == [3, 2]
        assert [await count(tenant="acme"), await count(tenant="acme", since_ms=at_ms)] == [2, 0]
        assert await count(group="nobody") == await count(tenant="nobody") == await count(since_ms=2, until_ms=1) == 0
        assert await bench.broker.count_dead("unused") == 0

    async def test_a_group_tells_how_many_died_within_the_hour_and_the_day(self, bench: Bench) -> None:
        await _bury(bench, "no")
        await bench.kit.advance(2 * 3_600_000)
        await _bury(bench, "no", "no")
        await bench.kit.advance(23 * 3_600_000)
        await _bury(bench, "no")
        [group] = await _groups(bench)
        assert (group.count, group.hour, group.day) == (4, 1, 3)
        assert group.hours == (2, *[0] * 22, 1)
        await bench.kit.advance(25 * 3_600_000)
        [group] = await _groups(bench)
        assert (group.count, group.hour, group.day, group.hours) == (4, 0, 0, ())

    async def test_a_job_that_is_no_longer_dead_is_in_no_group(self, bench: Bench) -> None:
        retried, deleted, pruned, purged = await _bury(bench, "no", "no", "no", "no")
        [group] = await _groups(bench)
        await bench.broker.retry(bench.queue, [retried])
        await bench.broker.delete(bench.queue, [deleted], keep_ms=60_000, deletion=1)
        await bench.broker.delete(bench.queue, [purged])
        assert [one.count for one in await _groups(bench)] == [1]
        assert await _ids_of(bench, group.id) == [pruned]
        assert await bench.broker.prune([bench.queue], 60_000, 0) == 1
        assert await _groups(bench) == []
        assert await _ids_of(bench, group.id) == []

    async def test_a_group_that_was_empty_is_back_with_its_note(self, bench: Bench) -> None:
        await _bury(bench, "no")
        [group] = await _groups(bench)
        assert await bench.broker.mark_group(bench.queue, group.id, "seen", "the database moves")
        await _bury(bench, "no")
        [seen] = await _groups(bench)
        assert (seen.state, seen.note, seen.count) == ("seen", "the database moves", 2)
        await bench.broker.retry(bench.queue, await _ids_of(bench, group.id))
        assert await _groups(bench) == []
        for claimed in (await bench.claim()).jobs:
            await bench.settle([claimed], Failed(JobError("ConnectionError", "no", _TRACE, 1, 1_000), retryable=False))
        [back] = await _groups(bench)
        assert (back.id, back.state, back.note, back.count) == (group.id, "back", "the database moves", 2)
        assert back.first_ms == group.first_ms
        assert await bench.broker.mark_group(bench.queue, group.id, "new", "")
        [again] = await _groups(bench)
        assert (again.state, again.note) == ("new", "")
        assert not await bench.broker.mark_group(bench.queue, "nobody", "seen", "")

    async def test_many_that_die_at_once_are_all_in_their_groups(self, bench: Bench) -> None:
        sent = await bench.bury(count=700)
        [group] = await _groups(bench)
        assert (group.count, group.state) == (700, "new")
        # All died in one moment.
        assert sorted(await _ids_of(bench, group.id, limit=300)) == sent
        assert await bench.broker.retry(bench.queue, sent[:699]) == [True] * 699
        assert [one.sample_id for one in await _groups(bench)] == [sent[-1]]

    async def test_the_jobs_of_too_many_groups_are_in_one_more(self, bench: Bench) -> None:
        names = [f"name-{number}" for number in range(MAX_GROUPS + 3)]
        await bench.bury(*(bench.new(name) for name in names))
        groups = await _groups(bench)
        assert len(groups) == MAX_GROUPS + 1
        [other] = [group for group in groups if group.id == OTHER_GROUP]
        assert (other.count, other.name, other.message) == (3, "", "")
        doomed = await _ids_of(bench, OTHER_GROUP)
        assert len(doomed) == 3
        # Once there is room again, there may be new ones.
        await bench.broker.delete(
            bench.queue, [*doomed, *(group.sample_id for group in groups if group.name == names[0])]
        )
        await bench.broker.prune([bench.queue], 60_000, 10_000)
        await bench.bury(bench.new("newer"))
        assert "newer" in [group.name for group in await _groups(bench)]

    async def test_an_empty_group_is_forgotten_after_a_time(self, bench: Bench) -> None:
        [job_id] = await _bury(bench, "no")
        await bench.broker.delete(bench.queue, [job_id])
        await bench.broker.prune([bench.queue], 60_000, 100)
        await bench.kit.advance(GROUP_KEEP_MS + 1_000)
        kept = await _bury(bench, "other")
        await bench.broker.prune([bench.queue], 60_000, 100)
        await _bury(bench, "no")
        assert [(group.state, group.message) for group in await _groups(bench)] == [("new", "no"), ("new", "other")]
        assert kept

    async def test_jobs_whose_workers_died_are_a_group_for_each_name(self, bench: Bench) -> None:
        sent = await bench.send(bench.new("one"), bench.new("one"), bench.new("two"), bench.new("two", acks_early=True))
        await bench.claim()
        await bench.lapse()
        dead = (await bench.recover(max_deaths=1)).dead
        assert sorted(dead) == sorted(sent)
        groups = await _groups(bench)
        died = [group for group in groups if group.message == WORKERS_DIED_GROUP]
        assert sorted((group.name, group.count) for group in died) == [("one", 2), ("two", 1)]
        assert {group.error for group in groups} == {"WorkerDied"}
        assert len(groups) == 3

    async def test_jobs_of_an_unknown_name_are_a_group(self, bench: Bench) -> None:
        sent = await bench.send(*(bench.new("stranger") for _ in range(2)))
        await bench.claim(names=frozenset({"work"}))
        await bench.kit.advance(60_001)
        await bench.broker.unpark([bench.queue], frozenset({"work"}), 60_000)
        [group] = await _groups(bench)
        assert (group.name, group.error, group.message) == ("stranger", "UnknownJobName", UNKNOWN_NAME_GROUP)
        assert sorted(await _ids_of(bench, group.id)) == sent

    async def test_a_page_of_a_group_can_be_that_of_a_tenant_and_of_a_time(self, bench: Bench) -> None:
        [one] = await _bury(bench, "no", tenant="acme")
        await _bury(bench, "no", tenant="globex")
        await bench.kit.advance(5_000)
        [late] = await _bury(bench, "no", tenant="acme")
        [group] = await _groups(bench)
        assert await _ids_of(bench, group.id, tenant="acme", limit=1) == [late, one]
        page = await bench.broker.page(bench.queue, "dead", "", 10, "acme", group.last_ms, group.id)
        assert [job.id for job in page.jobs] == [one]
