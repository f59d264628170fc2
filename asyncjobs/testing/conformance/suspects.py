"""``Work``: jobs under which a worker has died, in lines with a key."""

from __future__ import annotations

from collections.abc import Sequence

from asyncjobs.core.priority import Priority
from asyncjobs.testing.conformance.bench import SOON_S, Bench, ids
from asyncjobs.testing.conformance.lined import declare, send_lined
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Suspects"]


async def pass_suspects(bench: Bench, group: str, gates: Sequence[str] = ()) -> None:
    """Claim jobs that wait in one line behind others, under which a worker has died."""
    suspects = await send_lined(bench, group, gates, count=3)
    assert await bench.claim_ids() == suspects
    await bench.lapse()
    assert sorted((await bench.recover()).recovered) == suspects
    behind = await send_lined(bench, group, gates, count=3)
    [other] = await send_lined(bench, "b")
    assert sorted(await bench.claim_ids(2, max_suspects=0)) == sorted([behind[0], other])
    [due] = await send_lined(bench, group, gates, delay_ms=1_000)
    await bench.kit.advance(1_000)
    claim = await bench.claim(2, max_suspects=1)
    assert ids(claim.jobs) == [suspects[0], behind[1]]
    assert await bench.ids_in("ready") == [*suspects[1:], behind[2], due]
    assert await bench.claim_ids(max_suspects=0) == [behind[2], due]
    assert await bench.claim_ids(max_suspects=0) == []
    await bench.settle(claim.jobs)
    assert await bench.ids_in("ready") == suspects[1:]
    assert await bench.claim_ids(max_suspects=1) == suspects[1:2]
    assert await bench.claim_ids() == suspects[2:]


class Suspects(Theme):
    """What a claim promises that may not have all jobs of a line."""

    async def test_a_suspect_that_must_wait_stays_first_and_keeps_no_others_from_anything(self, bench: Bench) -> None:
        await pass_suspects(bench, "a")

    async def test_a_suspect_keeps_no_job_of_its_gates_from_the_slots(self, bench: Bench) -> None:
        await declare(bench, customer=9)
        await pass_suspects(bench, "", ["customer=1"])

    async def test_very_many_suspects_hold_no_other_line_up_and_wake_nobody(self, bench: Bench) -> None:
        suspects = [*await bench.send(count=300), *await send_lined(bench, "a", count=1_100)]
        while await bench.claim_ids(1_000):
            pass
        await bench.lapse()
        while (await bench.recover()).recovered:
            pass
        others = await send_lined(bench, "b", count=2)
        [low] = await bench.send(bench.new(priority=Priority.LOW))
        assert await bench.claim_ids(max_suspects=0) == [*others, low]
        for _ in range(2):
            claim = await bench.claim(max_suspects=0)
            assert (list(claim.jobs), claim.again) == ([], False)
            assert not await bench.broker.wait([bench.queue], 0.001)
        assert sum((await bench.figures()).ready) == len(suspects)

    async def test_a_claim_that_passes_suspects_wakes_another_worker_for_what_it_leaves(self, bench: Bench) -> None:
        await send_lined(bench, "a", count=3)
        await bench.claim_ids()
        await bench.lapse()
        await bench.recover()
        [behind] = await send_lined(bench, "a")
        others = await send_lined(bench, "b", count=5)
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(1, max_suspects=0) == [behind]
        assert await bench.broker.wait([bench.queue], SOON_S)
        assert await bench.claim_ids(max_suspects=0) == others

    async def test_a_claim_that_passes_suspects_gets_all_that_it_asked_for(self, bench: Bench) -> None:
        await send_lined(bench, "a", count=3)
        await bench.claim_ids()
        await bench.lapse()
        await bench.recover()
        behind = await send_lined(bench, "a", count=300)
        claim = await bench.claim(300, max_suspects=0)
        assert (ids(claim.jobs), claim.again) == (behind[:200], True)
        assert await bench.claim_ids(100, max_suspects=0) == behind[200:]

    async def test_very_many_suspects_that_are_not_for_the_worker_keep_it_from_nothing(self, bench: Bench) -> None:
        lined = [job_id for n in range(30) for job_id in await send_lined(bench, f"a{n:02}", name="other")]
        suspects = [*lined, *await send_lined(bench, count=30, name="other")]
        assert len(await bench.claim_ids(100)) == len(suspects)
        await bench.lapse()
        assert len((await bench.recover()).recovered) == len(suspects)
        [known] = await send_lined(bench, "b")
        found: list[str] = []
        for _ in range(65):
            found += await bench.claim_ids(1, names=frozenset({"work"}), max_suspects=1)
        assert found == [known]
        assert sorted(await bench.ids_in("parked")) == sorted(suspects)
