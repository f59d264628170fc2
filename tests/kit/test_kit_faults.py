"""What the kit lets go wrong: a broker that is away, a lost reply, a killed worker."""

from __future__ import annotations

import pytest

from asyncjobs import BrokerUnavailable, JobFailed
from asyncjobs.testing import Kit
from tests.kit.shop import Shop, outcomes

pytestmark = pytest.mark.anyio


async def test_a_broker_that_is_away_fails_at_once(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("before")

    with kit.broker_away():
        for call in (lambda: shop.send.delay("ada"), handle.status, shop.app.stats, kit.run):
            with pytest.raises(BrokerUnavailable, match="broker_away"):
                await call()
    await kit.run()

    assert shop.done == ["before"]


async def test_a_lost_reply_leaves_the_job_sent(shop: Shop, kit: Kit) -> None:
    with kit.lost_replies(), pytest.raises(BrokerUnavailable):
        await shop.send.with_options(job_id="once").delay("ada")
    handle = await shop.send.with_options(job_id="once").delay("ada")
    await kit.run()

    assert not handle.is_new
    assert shop.done == ["ada"]


async def test_a_killed_worker_lets_the_handler_run_twice(shop: Shop, kit: Kit) -> None:
    began = kit.now
    kit.kill_worker(shop.send)
    await shop.threaded.delay(1)
    handle = await shop.send.delay("ada")

    attempts = await kit.run()

    assert outcomes(attempts) == [
        ("threaded", 1, "completed"),
        ("send", 1, "killed"),
        ("send", 2, "completed"),
    ]
    lease = shop.app.settings.lease
    assert lease <= (kit.now - began).total_seconds() <= 1.5 * lease
    assert await handle.result() == "to ada"
    assert (await handle.refresh()).deaths == 1


async def test_a_job_that_kills_its_workers_dies(shop: Shop, kit: Kit) -> None:
    kit.kill_worker(times=10)
    await shop.send.delay("ada")

    with pytest.raises(JobFailed):
        await kit.run()

    assert shop.done == ["ada"] * shop.app.settings.max_deaths
