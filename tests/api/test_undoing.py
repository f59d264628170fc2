"""Dead jobs by what they died of, retried over a time, and brought back after a deletion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, JobState, RetryPolicy, UnknownJob, Worker, tenant_scope

pytestmark = pytest.mark.anyio


class Shop:
    """An app whose jobs die."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.is_broken = True

        @app.job(retry=RetryPolicy(max_retries=0))
        async def charge(order: int) -> int:
            if self.is_broken:
                raise ConnectionError(f"connection to 10.0.0.{order % 200}:5432 refused")
            return order

        @app.job(retry=RetryPolicy(max_retries=0), queue="mail")
        async def send(to: str) -> None:
            raise ValueError(f"{to} is no address")

        self.charge, self.send = charge, send

    async def run(self) -> None:
        await Worker(self.app, queues=["default", "mail"]).run_until_empty()


@pytest.fixture
def shop(app: App) -> Shop:
    return Shop(app)


async def _dead(app: App, **which: Any) -> list[str]:
    return sorted(job.id for job in await app.failed_jobs(**which))


async def test_the_dead_are_grouped_by_what_they_died_of(shop: Shop) -> None:
    async with shop.app as app:
        charged = [await shop.charge.delay(number) for number in range(5)]
        sent = [await shop.send.delay(to) for to in ("ada@example.com", "bob@example.com")]
        await shop.run()
        groups = {group.name: group for group in await app.failed_groups()}
        charge, send = groups["charge"], groups["send"]
        assert (charge.queue, charge.count, charge.error) == ("default", 5, "ConnectionError")
        assert charge.message == "connection to <ip>:<n> refused"
        assert charge.frame.startswith("api/test_undoing.py:")
        assert charge.frame.endswith(" in charge")
        assert (send.queue, send.count, send.message) == ("mail", 2, "<email> is no address")
        assert [group.name for group in await app.failed_groups(queue="mail")] == ["send"]
        assert await _dead(app, group=charge.id) == sorted(one.id for one in charged)
        assert await _dead(app, group=send.id, limit=1) != []
        assert await _dead(app, group="") == []
        assert await app.mark_group(send.id, queue="mail", note="typos")
        [seen] = await app.failed_groups(queue="mail")
        assert (seen.state, seen.note) == ("seen", "typos")
        assert not await app.mark_group(send.id, queue="default")
        assert await app.retry_failed(group=send.id, queue="default") == 0
        shop.is_broken = False
        assert await app.retry_failed(group=charge.id) == 5
        await shop.run()
        assert await _dead(app) == sorted(one.id for one in sent)
        assert [await one.result() for one in charged] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "given", [{"state": "gone"}, {"note": "x" * 501}, {"state": 3}, {"note": None}, {"queue": ""}], ids=str
)
async def test_a_mark_that_means_nothing_is_refused(app: App, given: dict[str, Any]) -> None:
    async with app:
        with pytest.raises(ArgumentsError):
            await app.mark_group("one", **({"queue": "default"} | given))


async def test_a_retry_is_spread_over_a_time_the_first_to_die_first(shop: Shop) -> None:
    async with shop.app as app:
        sent = [await shop.charge.delay(number) for number in range(4)]
        await shop.run()
        assert await app.retry_failed(spread=timedelta(hours=1)) == 4
        [first] = await app.jobs("ready")
        later = await app.jobs("scheduled")
        dues = [job.due_at_ms or 0 for job in later]
        assert {first.id, *(job.id for job in later)} == {one.id for one in sent}
        assert [round((due - dues[0]) / 60_000) for due in dues] == [0, 15, 30]
        with pytest.raises(ArgumentsError):
            await app.retry_failed(spread=-1)


async def test_jobs_are_retried_by_their_ids(shop: Shop) -> None:
    async with shop.app as app:
        sent = [await shop.charge.delay(number) for number in range(3)]
        await shop.run()
        ids = [sent[2].id, "nobody", sent[0].id]
        assert await app.retry_jobs(ids, queue="default", delay=60, spread=60) == [True, False, True]
        assert [job.id for job in await app.jobs("scheduled")] == [sent[2].id, sent[0].id]
        assert await _dead(app) == [sent[1].id]
        with pytest.raises(ArgumentsError, match="several ids"):
            await app.retry_jobs("one", queue="default")


async def test_the_last_deletion_can_be_undone(shop: Shop) -> None:
    async with shop.app as app:
        charged = sorted([(await shop.charge.delay(number)).id for number in range(3)])
        sent = (await shop.send.delay("ada")).id
        await shop.run()
        groups = await app.failed_groups()
        assert await app.undelete_failed() == 0
        assert await app.delete_failed(name="charge") == 3
        assert await app.delete_job(sent)
        with pytest.raises(UnknownJob):
            await app.find_job(sent)
        assert await _dead(app) == []
        # The last one is that of the single job.
        assert await app.undelete_failed() == 1
        assert await _dead(app) == [sent]
        assert await app.undelete_failed() == 3
        assert await _dead(app) == sorted([*charged, sent])
        assert await app.failed_groups() == groups
        job = await app.find_job(charged[0])
        assert (job.state, len(job.errors), job.deletion) == (JobState.FAILED, 1, None)
        assert await app.undelete_failed() == 0


async def test_calls_of_one_deletion_are_undone_together_over_all_queues(shop: Shop) -> None:
    async with shop.app as app:
        charged, sent = (await shop.charge.delay(1)).id, (await shop.send.delay("ada")).id
        other = (await shop.charge.delay(2)).id
        await shop.run()
        assert await app.delete_jobs([charged, "nobody"], queue="default", deletion=7) == [True, False]
        assert await app.delete_failed(queue="mail", deletion=7) == 1
        assert await app.delete_failed(deletion=9) == 1
        assert await app.undelete_failed(7) == 2
        assert await _dead(app) == sorted([charged, sent])
        assert await app.undelete_jobs([other, charged]) == [True, False]
        assert await _dead(app) == sorted([charged, sent, other])


async def test_what_is_purged_is_gone_for_good(shop: Shop) -> None:
    async with shop.app as app:
        first, second, third = [(await shop.charge.delay(number)).id for number in range(3)]
        await shop.run()
        assert await app.delete_jobs([first], queue="default", purge=True) == [True]
        assert await app.delete_job(second)
        # The queue is emptied of what is kept, too.
        assert await app.purge_queue("default") == 1
        assert await app.undelete_jobs([first, second, third]) == [False] * 3
        await shop.charge.delay(4)
        await shop.run()
        assert await app.delete_failed(purge=True) == 1
        assert await app.undelete_failed() == 0


async def test_a_tenant_brings_back_its_own(shop: Shop) -> None:
    async with shop.app as app:
        for tenant in ("acme", "globex"):
            await shop.charge.with_options(tenant=tenant).delay(1)
        await shop.run()
        assert await app.delete_failed(deletion=5) == 2
        with tenant_scope("acme"):
            assert await app.undelete_failed() == 1
            assert len(await app.failed_jobs()) == 1
        assert [job.tenant for job in await app.failed_jobs()] == ["acme"]
        assert await app.purge_tenant("globex") == 0
        assert await app.undelete_failed() == 0
