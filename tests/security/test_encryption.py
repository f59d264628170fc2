"""Encrypted jobs: what the broker shows of them, rotation of keys, and what somebody without a key can't do."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from asyncjobs.app.deploy_check import check_jobs
from asyncjobs.core.encrypted import HIDDEN, key_id_of, unpack
from asyncjobs.core.view import job_details
from asyncjobs.errors import ConfigurationError
from asyncjobs.jobs.encryption import Encryption
from asyncjobs.settings import load_settings
from tests.apps import broker_of, prepared
from tests.security.keys import CARD, NEW, OLD, OTHER, key
from tests.servers import Server
from tests.waiting import SOON
from tests.worker.cpu_jobs import square

pytestmark = pytest.mark.anyio

MakeApp = Callable[..., App]


@pytest.fixture
def make(make_app: MakeApp) -> MakeApp:
    """Return a function that makes apps on one broker which have the same jobs, with the given keys."""

    def with_jobs(*keys: str, **settings: Any) -> App:
        app = make_app(encryption_keys=keys, **settings)

        @app.job(name="charge", retry=RetryPolicy(max_retries=0))
        async def charge(card: str, *, fails: bool = False) -> str:
            current_job().progress(1, note=card)
            current_job().emit({"card": card})
            if fails:
                raise ValueError(f"{card} is refused")
            return f"charged {card}"

        @app.job(name="refund")
        async def refund(card: str) -> str:
            return f"refunded {card}"

        return app

    return with_jobs


def request(app: App, *args: Any, name: str = "charge", **kwargs: Any) -> Any:
    return app.registry.get(name).request(*args, **kwargs)


async def send(app: App, *args: Any, **kwargs: Any) -> Any:
    [handle] = await app.enqueue_many([request(app, *args, **kwargs)])
    return handle


async def run(app: App, *queues: str) -> None:
    await Worker(app, queues=queues or None).run_until_empty(signals=False)


async def run_one(app: App, *args: Any, **kwargs: Any) -> Job:
    """Send a job, run it, and return it."""
    handle = await send(app, *args, **kwargs)
    await run(app)
    return await app.find_job(handle.id)


def all_of(server: Server) -> bytes:
    """Return all that a server keeps, the names of keys too."""
    found: list[object] = []
    with contextlib.closing(server.client()) as client:
        for name in client.scan_iter(count=1_000):
            kind = client.type(name).decode()
            read: dict[str, Callable[[], object]] = {
                "string": lambda name=name: client.get(name),
                "list": lambda name=name: client.lrange(name, 0, -1),
                "hash": lambda name=name: client.hgetall(name),
                "set": lambda name=name: client.smembers(name),
                "zset": lambda name=name: client.zrange(name, 0, -1, withscores=True),
                "stream": lambda name=name: client.xrange(name),
            }
            found += [name, read[kind]()]
    return repr(found).encode()


# -- what stands in the broker, and who reads it


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


# -- rotation


async def test_keys_are_rotated_without_a_job_lost(make: MakeApp) -> None:
    async with make(OLD) as before:
        first = await send(before, CARD)
        done = await run_one(before, CARD, name="refund")
        first = await send(before, CARD)
    async with make(NEW, OLD) as both:
        assert await both.handle(done.id).result(SOON) == f"refunded {CARD}"
        second = await send(both, CARD)
        await run(both)
        assert await both.handle(first.id).result(SOON) == f"charged {CARD}"
    async with make(NEW) as after:
        # What the second program has written, it has written with the new key.
        for handle in (first, second):
            assert await after.handle(handle.id).result(SOON) == f"charged {CARD}"


async def test_a_job_whose_key_is_missing_waits_among_the_dead_with_the_id_of_the_key(make: MakeApp) -> None:
    async with make(NEW) as sender, make(OLD) as late, make() as blind:
        for worker in (late, blind):
            handle = await send(sender, CARD)
            await run(worker)
            [dead] = await blind.failed_jobs()
            assert dead.id == handle.id
            assert dead.errors[-1].type == "EncryptionError"
            assert f"encrypted with key {EncryptionKey(NEW).id}" in dead.errors[-1].message
            assert "ASYNCJOBS_ENCRYPTION_KEYS" in dead.errors[-1].message
            # With the key it runs, as it was sent.
            await blind.retry_job(handle.id)
            await run(sender)
            assert await sender.handle(handle.id).result(SOON) == f"charged {CARD}"


async def test_a_schedule_whose_key_is_missing_stays_due(make: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    async with make(NEW) as sender, make(OTHER, scheduler_interval=0.1) as late:
        await sender.add_schedule("often", request(sender, CARD), every=1)
        async with late.worker():
            async with asyncio.timeout(SOON):
                while "the schedule often can't fire here" not in caplog.text:
                    await asyncio.sleep(0.02)
        assert (await sender.find_schedule("often")).last_at is None
        assert await sender.failed_jobs() == []


async def test_the_check_before_a_deploy_tells_of_missing_keys(make: MakeApp) -> None:
    async with make(OLD) as before, make(NEW) as after:
        await send(before, CARD)
        await send(before, CARD)
        assert (await check_jobs(before))[0] == []
        [problem] = (await check_jobs(after))[0]
        assert problem.count == 2
        assert f"encrypted with key {EncryptionKey(OLD).id}" in problem.reason


# -- switching it on


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


# -- somebody who can write to Redis, without a key


async def _forged(app: App, handle: Any, **changes: Any) -> Job:
    """Put the arguments of a job into another one, run it, and return it."""
    stored = await broker_of(app).find("default", handle.id)
    new = prepared(app, request(app, "harmless"))
    body = msgspec.msgpack.encode(msgspec.structs.replace(stored.envelope, **changes.pop("envelope", {})))
    forged = msgspec.structs.replace(new, **{"body": body, "id": stored.id, **changes})
    await app.cancel_job(handle.id)
    await app.delete_job(handle.id)
    assert await broker_of(app).enqueue([forged]) == [True]
    await run(app, forged.queue)
    return await app.find_job(forged.id, queue=forged.queue)


async def test_the_arguments_of_a_job_run_as_they_were_sent(make: MakeApp) -> None:
    # The forging itself is not what fails below.
    async with make(NEW) as app:
        job = await _forged(app, await send(app, CARD))
        assert job.result == f"charged {CARD}"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "another"},
        {"queue": "another"},
        {"name": "refund"},
        {"tenant": "acme"},
        {"id": "@acme:another", "tenant": "acme"},
        {"envelope": {"keywords": ("card",)}},
    ],
    ids=str,
)
async def test_arguments_that_were_written_for_another_job_are_refused(make: MakeApp, changes: dict[str, Any]) -> None:
    async with make(NEW) as app:
        job = await _forged(app, await send(app, CARD), **changes)
        assert job.state.value == "failed"
        assert job.errors[-1].type == "EncryptionError"
        assert "written for another job" in job.errors[-1].message


async def test_a_result_of_another_job_is_refused(make: MakeApp) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    async with make(NEW) as app:
        mine, other = await run_one(app, CARD), await run_one(app, "harmless")
        stored = await broker_of(app).find("default", mine.id)
        assert encryption.with_result(stored).result == f"charged {CARD}"
        for forged in (
            msgspec.structs.replace(stored, id=other.id),
            msgspec.structs.replace(stored, encoded_result=bytes(stored.envelope.arguments)),
        ):
            with pytest.raises(EncryptionError, match="written for another job"):
                encryption.with_result(forged)


async def test_a_result_or_an_event_that_anybody_has_written_is_not_shown(make: MakeApp) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    lenient = Encryption([EncryptionKey(NEW)], "preferred")
    async with make(NEW) as app:
        mine = await run_one(app, CARD)
        stored = await broker_of(app).find("default", mine.id)
        forged = msgspec.structs.replace(stored, encoded_result=msgspec.msgpack.encode("forged"))
        assert encryption.shown(stored).result == f"charged {CARD}"
        assert encryption.shown(forged).encoded_result == b""
        assert lenient.shown(forged).result == "forged"
        event = msgspec.msgpack.encode([1, 2, 3])
        assert encryption.readable_event("default", mine.id, event) == b""
        assert lenient.readable_event("default", mine.id, event) == event


@given(st.data())
def test_no_byte_can_be_changed_or_cut_off_unnoticed(data: st.DataObject) -> None:
    encryption = Encryption([EncryptionKey(NEW)], "required")
    arguments = data.draw(st.binary(max_size=400))
    stored = bytearray(encryption.arguments_for("q", "id", "name", "", (), arguments))
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        stored[at] ^= data.draw(st.integers(1, 255))
    else:
        del stored[at:]
    job = _job(bytes(stored))
    with pytest.raises(EncryptionError):
        encryption.readable(job)


@given(st.binary(max_size=2_000), st.sampled_from(["required", "preferred"]))
def test_what_is_encrypted_comes_back_and_never_looks_the_same(arguments: bytes, mode: Any) -> None:
    encryption = Encryption([EncryptionKey(NEW)], mode)
    first, second = (encryption.arguments_for("q", "id", "name", "", (), arguments) for _ in range(2))
    assert first != second
    assert unpack(first).nonce != unpack(second).nonce
    assert bytes(encryption.readable(_job(first)).envelope.arguments) == arguments


def _job(arguments: bytes) -> Job:
    from asyncjobs import Envelope, JobState, Priority

    return Job(
        id="id",
        name="name",
        queue="q",
        priority=Priority.NORMAL,
        state=JobState.PENDING,
        envelope=Envelope(arguments=msgspec.Raw(arguments)),
    )


# -- keys


@pytest.mark.parametrize("given", ["x", "", key(1)[:-8], f"{key(1)},{key(1)}", [b"x" * 32], 7])
def test_a_key_that_is_none_is_refused_without_being_shown(given: Any) -> None:
    for code, environ in (({"encryption_keys": given}, {}), ({}, {"ASYNCJOBS_ENCRYPTION_KEYS": str(given)})):
        if environ and not given:
            continue
        with pytest.raises(ConfigurationError) as caught:
            load_settings("memory://", code, environ)
        assert "encryption_keys=***" in str(caught.value)
        assert "openssl rand -base64 32" in str(caught.value)


def test_keys_are_read_from_the_environment_and_shown_nowhere() -> None:
    url_safe = NEW.translate(str.maketrans("+/", "-_"))
    for text in (f"{NEW},{OLD}", f" {url_safe} , {OLD}\n"):
        settings = load_settings("memory://", {}, {"ASYNCJOBS_ENCRYPTION_KEYS": text})
        assert settings.encryption_keys == (EncryptionKey(NEW), EncryptionKey(OLD))
        for secret in (NEW, OLD, repr(settings.encryption_keys[0].secret)[2:-1]):
            assert secret not in f"{settings!r} {settings}"
        assert EncryptionKey(NEW).id in repr(settings)


@pytest.mark.parametrize("keys", [None, ""])
def test_encryption_that_is_asked_for_without_a_key_is_refused(keys: str | None) -> None:
    environ = {"ASYNCJOBS_ENCRYPTION": "required"} | ({} if keys is None else {"ASYNCJOBS_ENCRYPTION_KEYS": keys})
    with pytest.raises(ConfigurationError, match="without a key, so nothing would be encrypted: set encryption_keys"):
        load_settings("memory://", {}, environ)


def test_without_cryptography_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r"asyncjobs-redis\[crypto\]"):
        App("memory://", encryption_keys=[NEW])
    App("memory://")


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
