"""The kit records what is sent, and runs nothing of it by itself."""

from __future__ import annotations

import base64
from unittest.mock import ANY

import pytest

from asyncjobs import App, ArgumentsError, JobState, Unique
from asyncjobs.testing import Kit
from tests.kit.shop import NOWHERE, Address, Shop, job_of_no_app

pytestmark = pytest.mark.anyio


async def test_nothing_runs_until_the_test_says_so(shop: Shop, kit: Kit) -> None:
    handle = await shop.send.delay("ada")

    assert shop.done == []
    assert await handle.status() is JobState.PENDING


async def test_a_sent_job_is_found_with_its_arguments_however_they_were_passed(shop: Shop, kit: Kit) -> None:
    await shop.send.delay("ada")
    await shop.send.delay(subject="Bye", to="bob")

    assert kit.assert_sent(shop.send, to="ada", subject="Hi").arguments == {"to": "ada", "subject": "Hi"}
    assert kit.assert_sent(shop.send, "bob", "Bye").queue == "mail"
    assert kit.assert_sent(shop.send, ANY, subject="Bye").arguments["to"] == "bob"
    assert [one.arguments["to"] for one in kit.sent(shop.send)] == ["ada", "bob"]
    kit.assert_not_sent(shop.send, "ada", "Bye")
    kit.assert_not_sent(shop.deliver)


async def test_arguments_are_those_that_the_worker_gets(shop: Shop, kit: Kit) -> None:
    await shop.deliver.delay(Address("Main Street", 7), parts=["a", "b"])

    sent = kit.assert_sent(shop.deliver, Address("Main Street", 7), ["a", "b"])

    assert sent.arguments["to"] == Address("Main Street", 7)
    # As it would arrive.
    kit.assert_sent(shop.deliver, Address("Main Street", 7), ("a", "b"))  # type: ignore[arg-type]


async def test_a_wrong_argument_is_refused_where_the_job_is_sent(shop: Shop, kit: Kit) -> None:
    with pytest.raises(ArgumentsError, match="to"):
        shop.send.delay(7)  # type: ignore[arg-type]

    assert kit.sent() == []


async def test_an_assertion_that_the_handler_could_not_take_is_an_error_of_its_own(shop: Shop, kit: Kit) -> None:
    with pytest.raises(ArgumentsError, match="subjekt"):
        kit.assert_sent(shop.send, "ada", subjekt="Hi")  # type: ignore[call-overload]


async def test_a_failed_assertion_shows_what_was_sent_the_most_alike_first(shop: Shop, kit: Kit) -> None:
    await shop.threaded.delay(1)
    await shop.send.delay("bob")
    await shop.send.with_options(tenant="acme", priority="high").schedule_in(60, "ada", "Hello")

    with pytest.raises(AssertionError) as failed:
        kit.assert_sent(shop.send, "ada", "Hallo")

    assert str(failed.value).splitlines() == [
        "send(to='ada', subject='Hallo') was not sent. Sent were:",
        "  send(to='ada', subject='Hello'), in queue 'mail', with priority high, for tenant 'acme', due in 60 s",
        "  send(to='bob', subject='Hi'), in queue 'mail'",
        "  threaded(number=1)",
    ]
    with pytest.raises(AssertionError, match=r"send was sent\. Sent were:\n  send\(to='bob'"):
        kit.assert_not_sent(shop.send)


async def test_a_failed_assertion_says_that_nothing_was_sent(shop: Shop, kit: Kit) -> None:
    with pytest.raises(AssertionError, match=r"^send was not sent\. No job was sent\.$"):
        kit.assert_sent(shop.send)


async def test_every_way_to_send_is_recorded(shop: Shop, kit: Kit) -> None:
    await shop.app.enqueue_many([shop.send.request("many"), shop.threaded.request(2)])
    await shop.app.send("send", ["named"])
    await shop.app.send("elsewhere", {"to": "far"})
    await shop.app.enqueue_for_tenant("acme", shop.send.request("tenant"))
    await job_of_no_app.delay(1)

    assert [str(one).partition(",")[0] for one in kit.sent()] == [
        "send(to='many'",
        "threaded(number=2)",
        "send(to='named'",
        "elsewhere(to='far')",
        "send(to='tenant'",
        "job_of_no_app(number=1)",
    ]
    assert kit.assert_sent(shop.send, "tenant").tenant == "acme"


async def test_a_job_sent_twice_under_one_id_is_there_once(shop: Shop, kit: Kit) -> None:
    for _ in range(2):
        await shop.send.with_options(job_id="welcome-7").delay("ada")

    assert [one.id for one in kit.sent()] == ["welcome-7"]


async def test_a_unique_job_is_there_once_as_the_last_call_has_left_it(shop: Shop, kit: Kit) -> None:
    @shop.app.job(unique=Unique(by="user", on_conflict="replace"))
    async def sync(user: int, reason: str) -> None:
        shop.done.append(reason)

    for reason in ("clicked", "clicked again"):
        await sync.delay(7, reason)

    assert [one.arguments for one in kit.sent(sync)] == [{"user": 7, "reason": "clicked again"}]
    await kit.run()
    assert shop.done == ["clicked again"]


async def test_a_sent_job_leads_to_its_result(shop: Shop, kit: Kit) -> None:
    await shop.send.with_options(metadata={"order": 7}).delay("ada")
    await kit.run()

    sent = kit.assert_sent(shop.send, "ada")

    assert await sent.handle.result() == "to ada"
    assert sent.metadata == {"order": 7}
    assert sent.headers == {"by": "noting"}


async def test_encrypted_arguments_are_found_as_what_they_are() -> None:
    app = App(NOWHERE, encryption_keys=[base64.b64encode(bytes(range(32))).decode()])

    @app.job
    async def pay(card: str) -> str:
        return card

    with app.testing() as kit:
        await pay.delay("4111 1111")
        sent = kit.assert_sent(pay, "4111 1111")
        await kit.run()
        assert await sent.handle.result() == "4111 1111"
