"""Encrypted jobs: what the broker shows of them, who reads them, and how it is switched on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from asyncjobs import (
    App,
    EncryptionError,
    EncryptionKey,
    Job,
    JobFailed,
    Middleware,
    ResultError,
    RetryPolicy,
    Worker,
    current_job,
)
from asyncjobs.core.encrypted import HIDDEN, key_id_of
from asyncjobs.core.view import job_details
from tests.apps import broker_of
from tests.security.encrypting import MakeApp, all_of, request, run, run_one, send
from tests.security.keys import CARD, NEW, OTHER
from tests.servers import Server
from tests.waiting import SOON
from tests.worker.cpu_jobs import square

pytestmark = pytest.mark.anyio


async def test_arguments_results_errors_and_events_are_nowhere_to_be_read_in_redis(
    redis_server: Server, redis_url: str
) -> None:
    async def stored_by(keys: tuple[str, ...]) -> bytes:
        with contextlib.closing(redis_server.client()) as client:
            client.flushall()
        app = App(redis_url, encryption_keys=keys)

        @app.job(retry=RetryPolicy(max_retries=1, initial=0.01))
        async def charge(card: str, fails: bool = False) -> str:
            current_job().emit({"card": card})
            current_job().log.info("charging %s", card)
            if fails:
                raise ValueError(f"{card} is refused")
            return f"charged {card}"

        async with app, app.worker():
            sent = [await charge.delay(CARD), await charge.delay(CARD, fails=True)]
            await charge.schedule_in(3600, CARD)
            await app.add_schedule("nightly", charge.request(CARD), every=3600)
            assert await sent[0].result(SOON) == f"charged {CARD}"
            with pytest.raises(JobFailed, match=CARD):
                await sent[1].result(SOON)
            await app.search_jobs(CARD)
        return all_of(redis_server)

    # The look itself would find it.
    assert CARD.encode() in await stored_by(())
    assert CARD.encode() not in await stored_by((NEW,))


async def test_a_program_with_the_key_reads_all_of_a_job(make: MakeApp) -> None:
    async with make(NEW) as app:
        job = await run_one(app, CARD)
        assert (job.named_arguments, job.result) == ({"card": CARD}, f"charged {CARD}")
        assert [event.data async for event in app.handle(job.id).events()] == [[1, None, CARD], {"card": CARD}]
        dead = await run_one(app, CARD, fails=True)
        assert dead.errors[-1].message == f"{CARD} is refused"
        assert "raise ValueError" in dead.errors[-1].traceback
        assert (await app.failed_jobs())[0].errors[-1].message == f"{CARD} is refused"
        assert dead.encrypted_with == ""
        assert "encrypted_with" not in msgspec.to_builtins(job_details(dead))


async def test_a_program_without_the_key_sees_which_key_it_is_and_what_is_no_secret(make: MakeApp) -> None:
    key_id = EncryptionKey(NEW).id
    async with make(NEW) as app, make() as blind, make(OTHER) as other:
        done, dead = await run_one(app, CARD), await run_one(app, CARD, fails=True)
        await app.add_schedule("nightly", request(app, CARD), every=3600)
        for reader in (blind, other):
            job = await reader.find_job(done.id)
            assert (job.encrypted_with, job.name, job.state.value) == (key_id, "charge", "completed")
            with pytest.raises(EncryptionError, match=f"encrypted with key {key_id}"):
                _ = job.arguments
            shown = job_details(await reader.find_job(dead.id))
            assert (shown.arguments, shown.result, shown.encrypted_with) == (None, None, key_id)
            [error] = shown.errors
            assert (error.type, error.message) == ("ValueError", HIDDEN)
            # Where it was raised is told, and nothing of what was there.
            assert "in charge" in error.traceback
            assert "ValueError" not in error.traceback
            with pytest.raises(ResultError, match=f"key {key_id}.*ASYNCJOBS_ENCRYPTION_KEYS"):
                await reader.handle(done.id).result(SOON)
            with pytest.raises(JobFailed, match=HIDDEN):
                await reader.handle(dead.id).result(SOON)
            assert [event async for event in reader.handle(done.id).events()] == []
            [schedule] = await reader.schedules()
            assert (schedule.arguments, schedule.encrypted_with) == ([], key_id)
            assert [job.id for job in (await reader.search_jobs(dead.id)).jobs] == [dead.id]
        assert (await app.schedules())[0].arguments == [CARD]


async def test_dead_jobs_are_grouped_by_where_they_failed_without_their_message(make: MakeApp) -> None:
    async with make(NEW) as app, make() as blind:
        for number in range(3):
            await send(app, f"{CARD} {number}", fails=True)
        await run(app)
        [group] = await blind.failed_groups()
        assert (group.count, group.error, group.message) == (3, "ValueError", HIDDEN)
        assert "in charge" in group.frame


async def test_handlers_in_processes_get_their_arguments(make_app: MakeApp) -> None:
    app = make_app(encryption_keys=[NEW])
    async with app, app.worker(queues=["cpu"]):
        handle = await square.with_options(app=app).delay(7)
        assert (await handle.result(SOON))["square"] == 49
        assert "half way" in [event.data["message"] async for event in handle.events() if event.kind == "log"]


async def test_every_way_of_sending_encrypts(make: MakeApp) -> None:
    async with make(NEW) as app:
        charge = app.registry.get("charge")
        sent = [
            await charge.delay(CARD),
            await charge.schedule_in(timedelta(hours=1), CARD),
            await app.enqueue_for_tenant("acme", request(app, CARD)),
            await app.send("charge", {"card": CARD}),
            await app.send("unknown-here", {"card": CARD}),
            *await app.enqueue_many([request(app, CARD)] * 2),
        ]
        await app.add_schedule("nightly", request(app, CARD), every=3600)
        sent.append(await app.trigger_schedule("nightly"))
        for handle in sent:
            stored = await broker_of(app).find("default", handle.id)
            assert key_id_of(stored.envelope.arguments) == EncryptionKey(NEW).id
            assert (await app.find_job(handle.id)).named_arguments == {"card": CARD}


@pytest.mark.parametrize("is_layered", [False, True])
async def test_ticks_of_schedules_decrypt_and_encrypt_again(make: MakeApp, is_layered: bool) -> None:
    class Nothing(Middleware):
        async def enqueue(self, requests: Any, send: Any) -> Any:
            return await send(requests)

    app = make(NEW, middleware=[Nothing()] if is_layered else [])
    ran = asyncio.Event()

    @app.job(name="tick")
    async def tick(card: str) -> None:
        assert card == CARD
        ran.set()

    async with app, app.worker():
        await app.add_schedule("often", tick.request(CARD), every=1)
        await asyncio.wait_for(ran.wait(), SOON)


@pytest.mark.parametrize("keys", [(), (NEW,)])
async def test_a_schedule_that_is_added_again_keeps_its_due_tick(make: MakeApp, keys: tuple[str, ...]) -> None:
    async with make(*keys) as app:

        async def next_ms() -> int | None:
            [stored] = (await broker_of(app).schedules("default")).schedules
            return stored.next_ms  # type: ignore[no-any-return]

        await app.add_schedule("hourly", request(app, CARD), every=3_600)
        due_ms = round(time.time() * 1000) - 60_000
        # Paused and resumed, it goes on from another tick.
        for tick in (None, due_ms):
            await broker_of(app).move_schedule("default", "hourly", tick)
        await app.add_schedule("hourly", request(app, CARD), every=3_600)
        assert await next_ms() == due_ms
        await app.add_schedule("hourly", request(app, "other"), every=3_600)
        assert await next_ms() != due_ms


async def test_a_job_keeps_its_arguments_when_it_moves_to_another_queue(make: MakeApp) -> None:
    async with make(NEW) as app, make() as blind:
        handle = await send(app, CARD)
        with pytest.raises(EncryptionError, match=f"key {EncryptionKey(NEW).id}"):
            await blind.edit_job(handle.id, to_queue="other")
        assert (await blind.find_job(handle.id)).queue == "default"
        assert await app.edit_job(handle.id, to_queue="other", priority="high") == "edited"
        await run(app, "other")
        assert await app.handle(handle.id, queue="other").result(SOON) == f"charged {CARD}"


async def test_what_is_not_encrypted_is_refused_unless_it_is_said_otherwise(make: MakeApp) -> None:
    async with make() as plain, make(NEW) as strict, make(NEW, encryption="preferred") as lenient:
        handle = await send(plain, CARD)
        await run(strict)
        [dead] = await strict.failed_jobs()
        assert dead.errors[-1].type == "EncryptionError"
        assert "not encrypted" in dead.errors[-1].message
        assert "encryption='preferred'" in dead.errors[-1].message
        await plain.retry_job(handle.id)
        await run(lenient)
        assert await lenient.handle(handle.id).result(SOON) == f"charged {CARD}"
        done = await run_one(plain, CARD, name="refund")
        with pytest.raises(ResultError, match="not encrypted"):
            await strict.handle(done.id).result(SOON)
        assert await lenient.handle(done.id).result(SOON) == f"refunded {CARD}"


async def test_a_program_can_be_given_keys_before_it_encrypts(make: MakeApp) -> None:
    async with make() as plain, make(NEW, encryption="decrypt") as first, make(NEW, encryption="preferred") as second:
        for sender in (plain, first, second):
            handle = await send(sender, CARD)
            await run(first)
            assert await first.handle(handle.id).result(SOON) == f"charged {CARD}"
            # It writes what programs without keys can read.
            assert await plain.handle(handle.id).result(SOON) == f"charged {CARD}"


async def test_middleware_is_told_of_the_end_of_a_job_in_clear_text(make: MakeApp) -> None:
    seen: list[Job] = []

    class Ends(Middleware):
        async def ended(self, job: Job) -> None:
            seen.append(job)

    app = make(NEW, middleware=[Ends()])
    async with app:
        await send(app, CARD)
        await send(app, CARD, fails=True)
        await Worker(app).run_until_empty(signals=False)
    good, bad = sorted(seen, key=lambda job: job.state.value)
    assert (good.arguments, good.result) == ([CARD], f"charged {CARD}")
    assert (bad.arguments[0], bad.errors[-1].message) == (CARD, f"{CARD} is refused")
