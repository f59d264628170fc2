"""Moving a job to another queue: until that queue has it, its own one keeps it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncjobs import App, BrokerRefused, BrokerUnavailable, JobState, Worker, current_job
from tests.apps import broker_of

pytestmark = pytest.mark.anyio


class Moved:
    """An app with a job that notes where it ran."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.ran: list[tuple[str, str]] = []

        @app.job
        async def work(name: str) -> None:
            self.ran.append((name, current_job().queue))

        self.work = work

    async def run(self) -> list[tuple[str, str]]:
        await Worker(self.app).run_until_empty()
        return sorted(self.ran)


@pytest.fixture
def moved(make_app: Callable[..., App]) -> Moved:
    return Moved(make_app(queues=["default", "slow"]))


@pytest.fixture
def hasty(make_app: Callable[..., App]) -> Moved:
    """Return one that soon gives up sending, for a broker that stays away."""
    return Moved(make_app(queues=["default", "slow"], send_timeout=1))


async def test_a_job_whose_id_the_other_queue_knows_stays_where_it_is(moved: Moved) -> None:
    async with moved.app as app:
        handle = await moved.work.with_options(job_id="invoice").delay("here")
        await moved.work.with_options(job_id="invoice", queue="slow").delay("there")
        assert await app.edit_job("invoice", queue="default", to_queue="slow") == "known"
        assert await handle.status() is JobState.PENDING
        assert await moved.run() == [("here", "default"), ("there", "slow")]


async def test_a_job_whose_id_ended_in_the_other_queue_stays_with_its_time_and_its_turn(moved: Moved) -> None:
    async with moved.app as app:
        await moved.work.with_options(job_id="invoice", queue="slow").delay("there")
        await moved.work.with_options(job_id="later", queue="slow").delay("there")
        await moved.run()
        when = datetime.now(UTC) + timedelta(hours=2)
        await moved.work.with_options(job_id="invoice").delay("here")
        await moved.work.delay("behind")
        later = await moved.work.with_options(job_id="later").schedule_at(when, "later")
        for job_id in ("invoice", "later"):
            assert await app.edit_job(job_id, queue="default", to_queue="slow") == "known"
        assert next(job.id for job in await app.jobs("ready")) == "invoice"
        assert (await later.refresh()).due_at_ms == round(when.timestamp() * 1000)


async def test_a_job_that_the_other_queue_comes_to_know_meanwhile_stays(moved: Moved) -> None:
    async with moved.app as app:
        await moved.work.with_options(job_id="invoice").delay("here")
        edit = broker_of(app).edit

        async def overtaken(*args: Any, **kwargs: Any) -> Any:
            if kwargs["delay_ms"]:
                await moved.work.with_options(job_id="invoice", queue="slow").delay("there")
            return await edit(*args, **kwargs)

        broker_of(app).edit = overtaken
        assert await app.edit_job("invoice", queue="default", to_queue="slow") == "known"
        assert await moved.run() == [("here", "default"), ("there", "slow")]


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), BrokerRefused("full")])
async def test_a_job_that_could_not_be_sent_on_stays_with_its_time(hasty: Moved, error: Exception) -> None:
    when = datetime.now(UTC) + timedelta(hours=2)

    async def fails(*args: Any, **kwargs: Any) -> Any:
        raise error

    async with hasty.app as app:
        now = await hasty.work.delay("now")
        later = await hasty.work.schedule_at(when, "later")
        broker = broker_of(app)
        enqueue, broker.enqueue = broker.enqueue, fails
        for handle in (now, later):
            with pytest.raises(type(error)):
                await app.edit_job(handle.id, to_queue="slow", queue="default")
        broker.enqueue = enqueue
        assert (await later.refresh()).due_at_ms == round(when.timestamp() * 1000)
        assert await hasty.run() == [("now", "default")]


async def test_a_job_is_never_started_before_its_time_by_a_move_that_lost_the_broker(hasty: Moved) -> None:
    when = datetime.now(UTC) + timedelta(hours=2)
    is_away = False

    async with hasty.app as app:
        later = await hasty.work.schedule_at(when, "later")
        broker = broker_of(app)
        find = broker.find

        async def lost(*args: Any, **kwargs: Any) -> Any:
            nonlocal is_away
            is_away = True
            raise BrokerUnavailable("away")

        async def found(*args: Any) -> Any:
            if is_away:
                raise BrokerUnavailable("away too")
            return await find(*args)

        broker.enqueue, broker.find = lost, found
        with pytest.raises(BrokerUnavailable):
            await app.edit_job(later.id, to_queue="slow", queue="default")
        is_away = False
        due_at_ms = (await later.refresh()).due_at_ms
        assert due_at_ms is not None
        assert due_at_ms >= when.timestamp() * 1000 - 1


async def test_a_job_that_arrived_though_the_reply_was_lost_is_moved(hasty: Moved) -> None:
    async with hasty.app as app:
        handle = await hasty.work.delay("job")
        broker = broker_of(app)
        enqueue = broker.enqueue

        async def lost(*args: Any, **kwargs: Any) -> Any:
            await enqueue(*args, **kwargs)
            raise BrokerUnavailable("the reply was lost")

        broker.enqueue = lost
        assert await app.edit_job(handle.id, to_queue="slow", queue="default") == "edited"
        assert await hasty.run() == [("job", "slow")]


async def test_a_job_whose_first_send_arrived_and_was_repeated_is_moved(moved: Moved) -> None:
    async with moved.app as app:
        handle = await moved.work.delay("job")
        broker = broker_of(app)
        enqueue = broker.enqueue
        replies = []

        async def lost_once(*args: Any, **kwargs: Any) -> Any:
            replies.append(await enqueue(*args, **kwargs))
            if len(replies) == 1:
                raise BrokerUnavailable("the reply was lost")
            return replies[-1]

        broker.enqueue = lost_once
        assert await app.edit_job(handle.id, to_queue="slow", queue="default") == "edited"
        assert replies == [[True], [False]]
        assert await moved.run() == [("job", "slow")]
