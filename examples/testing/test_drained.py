"""Everything runs when the test says so, by a clock that jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from asyncjobs.testing import Kit
from orders import Bank, app, charge, charged, confirm, invoice, mailbox, place_order


class FakeBank(Bank):
    """A bank that is away for some calls."""

    def __init__(self, failures: int = 0) -> None:
        self._failures = failures

    async def charge(self, order: int) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("the bank is away")


async def test_an_order_is_confirmed_and_charged(jobs: Kit) -> None:
    began = jobs.now
    await place_order("ada@example.com", 1007)

    with app.override(Bank, FakeBank):
        attempts = await jobs.run()

    # Queues run in the order of their names.
    assert [(one.name, one.outcome) for one in attempts] == [
        ("invoice", "completed"),
        ("confirm", "completed"),
        ("charge", "completed"),
    ]
    assert mailbox == ["ada@example.com: 1007"]
    assert charged == {1007: 1}
    assert jobs.now - began == timedelta(days=14)
    assert await jobs.assert_sent(invoice, 1007).handle.result() == "invoice 1007"


async def test_a_charge_is_tried_again(jobs: Kit) -> None:
    await charge.delay(1007)
    bank = FakeBank(failures=2)

    with app.override(Bank, lambda: bank):
        attempts = await jobs.run()

    assert [(one.number, one.outcome) for one in attempts] == [(1, "retrying"), (2, "retrying"), (3, "completed")]
    assert [one.at - attempts[0].at for one in attempts] == [timedelta(seconds=after) for after in (0, 10, 30)]


async def test_what_a_job_dies_of_fails_the_test(jobs: Kit) -> None:
    await charge.delay(1007)

    with pytest.raises(ConnectionError, match="no bank in a test"):
        await jobs.run()
    assert len(await app.failed_jobs()) == 1


async def test_only_what_is_due_runs(jobs: Kit) -> None:
    await confirm.schedule_in(60, "ada@example.com", 1007)

    assert await jobs.run_for(59) == []
    assert [one.name for one in await jobs.run_for(1)] == ["confirm"]


async def test_the_report_is_made_every_night() -> None:
    with app.testing(now=datetime(2026, 3, 1, tzinfo=UTC)) as kit:
        attempts = await kit.run_for(timedelta(days=3))

    assert [one.at for one in attempts] == [datetime(2026, 3, day, 3, tzinfo=UTC) for day in (1, 2, 3)]
    assert mailbox == ["nightly report"] * 3


def test_code_without_a_loop_sends_and_runs(jobs: Kit) -> None:
    handle = invoice.delay_sync(1007)

    jobs.run_sync()

    assert app.sync.result(handle) == "invoice 1007"
