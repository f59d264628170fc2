"""``Work.prune``: dead jobs that are too old or too many."""

from __future__ import annotations

from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Pruning"]


class Pruning(Theme):
    """What ``prune`` promises."""

    async def test_the_dead_are_pruned_by_age(self, bench: Bench) -> None:
        await bench.bury(count=3)
        await bench.kit.advance(5_000)
        young = await bench.bury(count=2)
        assert await bench.broker.prune([bench.queue], 60_000, 100) == 0
        assert await bench.broker.prune([bench.queue], 4_000, 100) == 3
        assert sorted(job.id for job in await bench.jobs_in("dead")) == young
        assert (await bench.figures()).tried == 2

    async def test_the_dead_are_pruned_by_number_the_oldest_first(self, bench: Bench) -> None:
        for _ in range(4):
            await bench.kit.advance(10)
            last = await bench.bury(count=1)
        [waiting] = await bench.send()
        assert await bench.broker.prune([bench.queue, "unused"], 60_000, 1) == 3
        assert await bench.ids_in("dead") == last
        assert await bench.claim_ids() == [waiting]

    async def test_what_one_call_does_not_prune_is_pruned_by_the_next(self, bench: Bench) -> None:
        for _ in range(3):
            sent = await bench.bury(count=500)
        pruned = 0
        while number := await bench.broker.prune([bench.queue], 60_000, 5):
            pruned += number
        assert pruned == 1_495
        assert await bench.ids_in("dead") == sent[:-6:-1]
        assert (await bench.figures()).tried == 5

    async def test_the_pruned_leave_the_tenants_dead_too(self, bench: Bench) -> None:
        await bench.bury_of("acme", "", "globex", "acme")
        await bench.kit.advance(5_000)
        [young] = await bench.bury_of("acme")
        assert await bench.broker.prune([bench.queue], 4_000, 100) == 4
        assert await bench.dead_of("acme") == [young]
        assert await bench.dead_of("globex") == []
        assert await bench.broker.prune([bench.queue], 60_000, 0) == 1
        assert await bench.dead_of("acme") == []
