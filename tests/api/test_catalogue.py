"""Arguments have names also where the code of the job isn't at hand, and secret ones are not shown anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, DefinitionError
from asyncjobs.brokers.memory import MemoryBroker
from asyncjobs.core.view import SECRET, job_details, job_summary
from tests.apps import broker_of, find_or_none

pytestmark = pytest.mark.anyio

CARD = "4111-1111-1111-1111"


@pytest.fixture
def make_pair(make_app: Callable[..., App]) -> Callable[[], tuple[App, App]]:
    """Return a function that makes two apps on one broker: the second is to know no job."""
    return lambda: (make_app(), make_app())


async def publish(app: App) -> None:
    """Let a worker of ``app`` make its jobs known, and end."""
    async with app.worker(queues=["nobody-sends-here"]):
        pass


async def test_arguments_have_names_where_a_worker_knows_them(make_pair: Callable[[], tuple[App, App]]) -> None:
    shop, operator = make_pair()

    @shop.job(queue="payments")
    async def charge(order: int, card: str = CARD, *, note: str = "") -> None:
        """Charge the card of an order.

        More.
        """

    async with shop, operator:
        await publish(shop)
        sent = await charge.delay(7, note="quick")
        job = await operator.find_job(sent.id, queue="payments")
        assert job.named_arguments == {"order": 7, "note": "quick"}
        entry = (await broker_of(operator).catalogue())[charge.name]
        assert (entry.name, entry.queue, entry.parameters) == (charge.name, "payments", ("order", "card", "note"))
        assert entry.summary == "Charge the card of an order."


async def test_more_arguments_than_parameters_have_names_too(make_pair: Callable[[], tuple[App, App]]) -> None:
    shop, operator = make_pair()

    @shop.job(secret=["rest", "others"])
    async def note(first: int, *rest: int, last: int = 0, **others: int) -> None: ...

    async with shop, operator:
        await publish(shop)
        sent = await note.delay(1, 2, 3, last=4, more=5)
        for app in (shop, operator):
            job = await app.find_job(sent.id)
            assert job.named_arguments == {"first": 1, "rest[0]": 2, "rest[1]": 3, "last": 4, "more": 5}
            shown = job_summary(job).arguments
            assert shown == {"first": 1, "rest[0]": SECRET, "rest[1]": SECRET, "last": 4, "more": SECRET}


async def test_secret_arguments_are_shown_nowhere_and_reach_the_handler(
    make_pair: Callable[[], tuple[App, App]],
) -> None:
    shop, operator = make_pair()
    arrived = asyncio.Event()

    @shop.job(secret=("card",), aliases=("pay",))
    async def charge(order: int, card: str) -> None:
        assert card == CARD
        arrived.set()

    async with shop, operator:
        await publish(shop)
        sent = await charge.delay(7, CARD)
        await shop.add_schedule("nightly", charge.request(8, CARD), every=3600)
        for app in (shop, operator):
            [listed] = await app.jobs("ready")
            found = await app.find_job(sent.id)
            [schedule] = await app.schedules()
            assert schedule.arguments == [8, SECRET]
            for shown in (job_summary(listed), job_details(found)):
                assert shown.arguments == {"order": 7, "card": SECRET}
        # A program gets what it has sent.
        assert (await shop.find_job(sent.id)).named_arguments["card"] == CARD
        async with shop.worker():
            await asyncio.wait_for(arrived.wait(), 10)


async def test_arguments_that_fit_no_longer_are_all_secret_if_one_is(make_pair: Callable[[], tuple[App, App]]) -> None:
    old, new = make_pair()

    @old.job(name="charge")
    async def charge(order: int, customer: str, card: str) -> None: ...

    @new.job(name="charge", secret=["card"])
    async def charge_card(card: str) -> None: ...

    async with old, new:
        sent = await charge.delay(7, "ada", CARD)
        assert CARD not in json.dumps(job_summary(await new.find_job(sent.id)).arguments)


async def test_a_secret_that_is_no_parameter_is_refused_at_the_definition(app: App) -> None:
    with pytest.raises(DefinitionError, match=r"job 'charge': secret='crad' is none of its parameters, order, card"):

        @app.job(secret=["crad"])
        async def charge(order: int, card: str) -> None: ...

    for wrong in ("card", 7, [1], {}):
        with pytest.raises(ArgumentsError, match="expected names of parameters"):
            app.job(secret=wrong)(lambda card: None)  # type: ignore[arg-type]


async def test_jobs_are_found_though_the_catalogue_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    from asyncjobs import BrokerUnavailable

    async def refuse() -> Any:
        raise BrokerUnavailable("away")

    broker = MemoryBroker()
    shop, operator = App("memory://", broker=broker), App("memory://", broker=broker)

    @shop.job
    async def charge(order: int) -> None: ...

    async with shop, operator:
        sent = await charge.delay(7)
        monkeypatch.setattr(broker, "catalogue", refuse)
        job = await find_or_none(operator, sent.id)
        assert job is not None
        assert job.named_arguments == {"0": 7}
