"""Each job runs as it is sent."""

from __future__ import annotations

import asyncio

import pytest

from asyncjobs import JobState
from asyncjobs.testing import Kit
from orders import charge, confirm, invoice, mailbox, place_order


async def test_an_order_is_confirmed_at_once(eager_jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    assert mailbox == ["ada@example.com: 1007"]
    assert await eager_jobs.assert_sent(charge, 1007).handle.status() is JobState.PENDING


async def test_a_result_is_there(eager_jobs: Kit) -> None:
    handle = await confirm.delay("ada@example.com", 1007)

    assert await handle.result() == "confirmed 1007"


async def test_an_error_of_the_handler_comes_through(eager_jobs: Kit) -> None:
    with pytest.raises(ConnectionError, match="no bank in a test"):
        await charge.delay(1007)


async def test_many_are_sent_at_once(eager_jobs: Kit) -> None:
    await asyncio.gather(*(confirm.delay("ada@example.com", order) for order in range(5)))

    assert sorted(mailbox) == [f"ada@example.com: {order}" for order in range(5)]


def test_an_error_comes_through_without_a_loop(eager_jobs: Kit) -> None:
    assert invoice.delay_sync(1007).id
    with pytest.raises(ConnectionError):
        charge.delay_sync(1007)
