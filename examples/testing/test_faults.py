"""What if a worker dies, or the broker is away?"""

from __future__ import annotations

import pytest

from asyncjobs import BrokerUnavailable, current_job
from asyncjobs.testing import Kit, fake_job
from orders import app, charge, confirm, mailbox, place_order


async def test_a_mail_may_be_sent_twice(jobs: Kit) -> None:
    jobs.kill_worker(confirm)
    await confirm.delay("ada@example.com", 1007)

    assert [one.outcome for one in await jobs.run()] == ["killed", "completed"]
    assert mailbox == ["ada@example.com: 1007"] * 2


async def test_an_order_fails_while_the_broker_is_away(jobs: Kit) -> None:
    with jobs.broker_away(), pytest.raises(BrokerUnavailable):
        await place_order("ada@example.com", 1007)

    assert jobs.sent() == []


async def test_an_order_that_is_sent_again_is_one_order(jobs: Kit) -> None:
    once = charge.with_options(job_id="charge-1007")

    with jobs.lost_replies(), pytest.raises(BrokerUnavailable):
        await once.delay(1007)
    handle = await once.delay(1007)

    assert not handle.is_new
    assert len(jobs.sent(charge)) == 1


async def test_a_handler_is_called_as_a_plain_function() -> None:
    @app.job
    async def export(path: str) -> int:
        current_job().progress(1, 2, path)
        return current_job().attempt

    with fake_job(attempt=3) as job:
        assert await export("orders.csv") == 3

    assert job.last_progress == (1, 2, "orders.csv")
