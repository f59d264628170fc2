"""Jobs are sent by their name with plain data: checked by the code, or by what workers make known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from asyncjobs import App, ArgumentsError, acting
from tests.waiting import SOON

pytestmark = pytest.mark.anyio


@pytest.fixture
def shop(make_app: Callable[..., App]) -> App:
    app = make_app()

    @app.job(queue="mail", name="remind")
    async def remind(to: str, at: datetime, /, times: int = 1, *, urgent: bool = False) -> list[Any]:
        assert isinstance(at, datetime)
        return [to, at.year, times, urgent]

    return app


@pytest.fixture
def operator(make_app: Callable[..., App], shop: App) -> App:
    """An app that knows no job."""
    return make_app()


async def test_arguments_are_read_as_the_handlers_types(shop: App) -> None:
    async with shop, shop.worker(queues=["mail"]):
        by_place = await shop.enqueue_by_name("remind", ["ada", "2026-11-26T03:00:00Z", 2])
        assert by_place.queue == "mail"
        assert await by_place.result(SOON) == ["ada", 2026, 2, False]
        both = await shop.enqueue_by_name("remind", ["ada", "2026-11-26T03:00:00Z"], priority="high")
        assert (await shop.find_job(both.id)).priority.label == "high"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ada"], "misses the argument 'at'|missing"),
        (["ada", "tomorrow"], "do not fit"),
        (["ada", "2026-11-26T03:00:00Z", "two"], "do not fit"),
        (["ada", "2026-11-26T03:00:00Z", 1, 2], "at most|too many|takes"),
        ({"nobody": 1}, "nobody"),
        ("ada", "expected a list"),
        (7, "expected a list"),
        (["ada", object()], "can't be encoded"),
    ],
)
async def test_what_does_not_fit_the_code_is_refused(shop: App, arguments: Any, problem: str) -> None:
    async with shop:
        with pytest.raises(ArgumentsError, match=problem):
            await shop.enqueue_by_name("remind", arguments)
        assert await shop.jobs("ready") == []


async def test_a_job_that_workers_know_is_checked_by_its_parameters(make_app: Callable[..., App]) -> None:
    shop, operator = make_app(), make_app()

    @shop.job(queue="payments")
    async def charge(order: int, card: str = "", *, note: str = "") -> list[Any]:
        return [order, card, note]

    async with shop, operator, shop.worker(queues=["payments"]):
        sent = await operator.enqueue_by_name("charge", {"note": "quick", "order": 7})
        assert sent.queue == "payments"
        assert await sent.result(SOON) == [7, "", "quick"]
        for arguments, problem in (
            ({"ordr": 7}, r"has no parameter 'ordr'; it has order, card, note. Did you mean 'order'\?"),
            ([1, 2, 3, 4], "takes at most 3 arguments"),
        ):
            with pytest.raises(ArgumentsError, match=problem):
                await operator.enqueue_by_name("charge", arguments)


async def test_a_job_that_nobody_knows_is_sent_as_it_is(operator: App) -> None:
    async with operator:
        sent = await operator.enqueue_by_name("new", {"a": 1}, queue="later")
        job = await operator.find_job(sent.id, queue="later")
        assert (job.name, job.named_arguments) == ("new", {"a": 1})


async def test_who_sends_by_hand_is_noted(operator: App) -> None:
    async with operator:
        await operator.enqueue_by_name("new")
        with acting("ada"):
            sent = await operator.enqueue_by_name("new")
        [entry] = await operator.audit()
        assert (entry.verb, entry.subject, entry.filter) == ("enqueue", sent.id, {"name": "new"})
