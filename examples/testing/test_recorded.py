"""Nothing runs: what was sent?"""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import ANY

import pytest

from asyncjobs import ArgumentsError
from asyncjobs.testing import Kit
from orders import charge, confirm, invoice, mailbox, place_order


async def test_an_order_sends_three_jobs(jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    assert [one.name for one in jobs.sent()] == ["confirm", "invoice", "charge"]
    assert mailbox == []


async def test_a_confirmation_goes_to_the_queue_of_mails(jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    sent = jobs.assert_sent(confirm, "ada@example.com", 1007)
    assert sent.queue == "mail"
    assert sent.arguments == {"address": "ada@example.com", "order": 1007, "language": "en"}
    jobs.assert_sent(confirm, ANY, 1007, language="en")
    jobs.assert_not_sent(confirm, "bob@example.com", 1007)


async def test_a_charge_is_due_in_two_weeks(jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    assert jobs.assert_sent(charge, 1007).due_at == jobs.now + timedelta(days=14)


async def test_an_invoice_knows_its_customer(jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    [sent] = jobs.sent(invoice)
    assert sent.metadata == {"address": "ada@example.com"}


async def test_each_test_begins_without_jobs(jobs: Kit) -> None:
    assert jobs.sent() == []


async def test_a_failed_assertion_says_what_was_sent(jobs: Kit) -> None:
    await place_order("ada@example.com", 1007)

    with pytest.raises(AssertionError, match=r"order=1008.*\n  confirm\(address='ada@example.com', order=1007"):
        jobs.assert_sent(confirm, "ada@example.com", 1008)


async def test_arguments_that_could_not_be_sent_are_refused(jobs: Kit) -> None:
    with pytest.raises(ArgumentsError, match="order"):
        await confirm.delay("ada@example.com", object())  # type: ignore[arg-type]  # pyright: ignore
