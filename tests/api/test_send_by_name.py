"""Jobs are sent by their name with plain data: checked by the code, or by what workers make known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from asyncjobs import App, ArgumentsError, ResultError, acting
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
        by_place = await shop.send("remind", ["ada", "2026-11-26T03:00:00Z", 2])
        assert by_place.queue == "mail"
        assert await by_place.result(SOON) == ["ada", 2026, 2, False]
        both = await shop.send("remind", ["ada", "2026-11-26T03:00:00Z"], priority="high")
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
            await shop.send("remind", arguments)
        assert await shop.jobs("ready") == []


async def test_a_job_that_workers_know_is_checked_by_its_parameters(make_app: Callable[..., App]) -> None:
    shop, operator = make_app(), make_app()

    @shop.job(queue="payments")
    async def charge(order: int, card: str = "", *, note: str = "") -> list[Any]:
        return [order, card, note]

    async with shop, operator, shop.worker(queues=["payments"]):
        sent = await operator.send("charge", {"note": "quick", "order": 7})
        assert sent.queue == "payments"
        assert await sent.result(SOON) == [7, "", "quick"]
        for arguments, problem in (
            ({"ordr": 7}, r"has no parameter 'ordr'; it has order, card, note. Did you mean 'order'\?"),
            ([1, 2, 3, 4], "takes at most 3 arguments"),
        ):
            with pytest.raises(ArgumentsError, match=problem):
                await operator.send("charge", arguments)


async def test_a_job_that_nobody_knows_is_sent_as_it_is(operator: App) -> None:
    async with operator:
        sent = await operator.send("new", {"a": 1}, queue="later")
        job = await operator.find_job(sent.id, queue="later")
        assert (job.name, job.named_arguments) == ("new", {"a": 1})


async def test_the_handle_reads_the_result_as_the_type_that_is_asked_for(shop: App, operator: App) -> None:
    async with shop, operator, shop.worker(queues=["mail"]):
        plain = await operator.send("remind", ["ada", "2026-11-26T03:00:00Z", 2])
        typed = await operator.send("remind", ["ada", "2026-11-26T03:00:00Z"], returns=tuple[str, int, int, bool])
        assert await plain.result(SOON) == ["ada", 2026, 2, False]
        assert await typed.result(SOON) == ("ada", 2026, 1, False)
        wrong = await operator.send("remind", ["ada", "2026-11-26T03:00:00Z"], returns=int)
        with pytest.raises(ResultError):
            await wrong.result(SOON)
        with pytest.raises(ArgumentsError, match="returns="):
            await operator.send("remind", returns=cast("Any", lambda: int))


async def test_a_job_sent_by_name_may_be_due_later(operator: App) -> None:
    async with operator:
        now = datetime.now(UTC)
        delayed = await operator.send("new", delay=timedelta(hours=1), priority="high", metadata={"a": 1})
        at = await operator.send("new", at=now + timedelta(hours=2))
        for handle, hours in ((delayed, 1), (at, 2)):
            due_at_ms = (await operator.find_job(handle.id)).due_at_ms or 0
            assert abs(due_at_ms / 1000 - now.timestamp() - hours * 3600) < 60
        job = await operator.find_job(delayed.id)
        assert (job.priority.label, job.metadata) == ("high", {"a": 1})
        for given, problem in (
            ({"delay": 1, "at": now}, "delay=1 and at=.*: expected one of the two"),
            ({"delay": -1}, "delay=-1"),
            ({"at": 5}, "at takes a datetime, not 5; for a delay use delay"),
            ({"at": datetime(2026, 1, 1)}, "at was given the naive datetime"),  # noqa: DTZ001
            ({"prioriti": "high"}, "no option 'prioriti'"),
        ):
            with pytest.raises(ArgumentsError, match=problem):
                await operator.send("new", **cast("Any", given))


def test_code_without_a_loop_sends_by_name_too(operator: App) -> None:
    handle = operator.sync.send("new", [1], returns=int, delay=60)
    assert operator.sync.find_job(handle.id).arguments == [1]


async def test_a_real_value_is_sent_as_well_as_its_text(shop: App) -> None:
    async with shop, shop.worker(queues=["mail"]):
        sent = await shop.send("remind", ["ada", datetime(2026, 11, 26, tzinfo=UTC)])
        assert await sent.result(SOON) == ["ada", 2026, 1, False]


async def test_who_sends_by_hand_is_noted(operator: App) -> None:
    async with operator:
        await operator.send("new")
        with acting("ada"):
            sent = await operator.send("new")
        [entry] = await operator.audit()
        assert (entry.verb, entry.subject, entry.filter) == ("send", sent.id, {"name": "new"})
