"""Durations and times beyond their bounds, as a policy or another program may give them."""

from __future__ import annotations

import msgspec

from asyncjobs.core.bounds import MAX_DURATION_MS
from asyncjobs.core.settlement import Verdict
from asyncjobs.testing.conformance.bench import Bench
from asyncjobs.testing.conformance.theme import Theme

__all__ = ["Bounds"]

#: Lua writes these as 1e+17 and the like, and no datetime holds them.
_FAR_MS = (10**15, 10**17, 2**63 - 1, 10**30)


class Bounds(Theme):
    """No number that reaches a broker costs a job, or spoils a list."""

    async def test_a_record_that_is_to_be_kept_for_ever_costs_no_job_and_no_neighbour(self, bench: Bench) -> None:
        for ttl_ms in _FAR_MS:
            sent = await bench.send(count=3)
            settlements = [bench.settlement(claimed) for claimed in (await bench.claim()).jobs]
            settlements[1] = msgspec.structs.replace(settlements[1], ttl_ms=ttl_ms)
            assert await bench.broker.settle(settlements) == [True] * 3
            for job_id in sent:
                job = await bench.broker.find(bench.queue, job_id)
                assert job is not None
                assert job.result == "result"

    async def test_a_wait_of_ages_is_the_longest_there_is(self, bench: Bench) -> None:
        for delay_ms in _FAR_MS:
            await bench.send(count=3)
            settlements = [bench.settlement(claimed) for claimed in (await bench.claim()).jobs]
            retried = msgspec.structs.replace(
                settlements[1], verdict=Verdict.RETRY, body=b"", tries=b"1:0:\x90", delay_ms=delay_ms
            )
            snoozed = msgspec.structs.replace(settlements[2], verdict=Verdict.SNOOZE, body=b"", delay_ms=delay_ms)
            assert await bench.broker.settle([settlements[0], retried, snoozed]) == [True] * 3
        await self._all_wait(bench, 2 * len(_FAR_MS))

    async def test_a_job_sent_for_the_end_of_time_spoils_no_list(self, bench: Bench) -> None:
        for far_ms in _FAR_MS:
            await bench.send(bench.new(delay_ms=far_ms), bench.new(due_at_ms=far_ms), bench.new(delay_ms=60_000))
        await self._all_wait(bench, 3 * len(_FAR_MS))

    async def test_a_job_edited_to_the_end_of_time_spoils_no_list(self, bench: Bench) -> None:
        for far_ms in _FAR_MS:
            for given in ({"delay_ms": far_ms, "due_at_ms": None}, {"delay_ms": None, "due_at_ms": far_ms}):
                [job_id] = await bench.send()
                assert await bench.broker.edit(bench.queue, job_id, priority=None, **given) == "edited"
        await self._all_wait(bench, 2 * len(_FAR_MS))

    async def test_a_schedule_of_the_end_of_time_spoils_no_list(self, bench: Bench) -> None:
        now_ms = (await bench.broker.schedules(bench.queue)).now_ms
        for number, far_ms in enumerate(_FAR_MS):
            assert await bench.broker.put_schedule(bench.queue, f"far-{number}", b"data", far_ms)
        assert await bench.broker.put_schedule(bench.queue, "near", b"data", now_ms + 1)
        listed = {one.id: one.next_ms for one in (await bench.broker.schedules(bench.queue)).schedules}
        assert listed.pop("near") == now_ms + 1
        assert len(listed) == len(_FAR_MS)
        assert all(next_ms is not None and next_ms > now_ms for next_ms in listed.values())

    async def test_a_cancelled_record_that_is_to_be_kept_for_ever_is_kept(self, bench: Bench) -> None:
        for keep_ms in _FAR_MS:
            ids = await bench.send(count=2)
            assert await bench.broker.cancel(bench.queue, ids, "why", keep_ms) == ["cancelled"] * 2
            assert await bench.broker.find(bench.queue, ids[0]) is not None
        assert await bench.claim_ids() == []

    async def _all_wait(self, bench: Bench, count: int) -> None:
        now_ms = (await bench.claim()).now_ms
        listed = await bench.jobs_in("scheduled")
        assert len(listed) == count
        for job in listed:
            assert job.due_at_ms is not None
            assert now_ms < job.due_at_ms <= now_ms + MAX_DURATION_MS
