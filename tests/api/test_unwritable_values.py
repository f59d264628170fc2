"""What one caller gives that can't be written, or not be read again, fails that caller at the call, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from asyncjobs import (
    App,
    ArgumentsError,
    BrokerUnavailable,
    Cancel,
    Discard,
    JobHandle,
    JobRequest,
    JobState,
    RetryPolicy,
    current_job,
)
from asyncjobs.middleware import Middleware, Send
from asyncjobs.ports import NewJob
from tests.apps import broker_of, wait_ended
from tests.waiting import SOON, Notes, until

pytestmark = pytest.mark.anyio

# UTF-8 has no bytes for it.
SURROGATE = "\ud800"


class Rewriting(Middleware):
    """Changes requests before they are sent, those whose metadata says so."""

    def __init__(self, change: Callable[[JobRequest[Any]], JobRequest[Any]]) -> None:
        self._change = change

    async def enqueue(self, requests: Sequence[JobRequest[Any]], send: Send) -> list[JobHandle[Any]]:
        return await send([self._change(one) if one.options.metadata else one for one in requests])


@pytest.mark.parametrize(
    "changed",
    [{"id": f"a{SURROGATE}"}, {"id": 5}, {"name": f"work{SURROGATE}"}, {"name": 5}],
    ids=repr,
)
async def test_what_a_layer_spoils_fails_its_sender_and_no_other(
    make_app: Callable[..., App], changed: dict[str, Any]
) -> None:
    app = make_app(middleware=[Rewriting(lambda one: msgspec.structs.replace(one, **changed))])

    @app.job
    async def work(number: int) -> None: ...

    async with app:
        others = [work.delay(number) for number in range(12)]
        spoilt = work.with_options(metadata={"change": True}).delay(-1)
        *sent, error = await asyncio.gather(*others[:6], *others[6:], spoilt, return_exceptions=True)
        assert isinstance(error, ArgumentsError), error
        assert [one for one in sent if not isinstance(one, JobHandle)] == []
        assert (await app.queue_stats("default")).size == 12


async def test_a_job_that_the_broker_can_not_write_fails_alone(app: App) -> None:
    @app.job
    async def work(number: int) -> None: ...

    async with app:
        broker = broker_of(app)
        enqueue = broker.enqueue

        async def refusing(jobs: Sequence[NewJob], **options: bool) -> list[bool]:
            if any(job.id == "unwritable" for job in jobs):
                raise TypeError("a job can't be written")
            replies: list[bool] = await enqueue(jobs, **options)
            return replies

        broker.enqueue = refusing
        others = [work.delay(number) for number in range(12)]
        wrong = work.with_options(job_id="unwritable").delay(-1)
        *sent, error = await asyncio.gather(*others[:6], wrong, *others[6:], return_exceptions=True)
        sent[6], error = error, sent[6]
        assert isinstance(error, TypeError)
        assert [one for one in sent if not isinstance(one, JobHandle)] == []
        assert (await app.queue_stats("default")).size == 12


async def test_jobs_that_wait_to_be_sent_alone_end_with_the_app(make_app: Callable[..., App]) -> None:
    app = make_app(send_timeout=60)

    @app.job
    async def work(number: int) -> None: ...

    reached = asyncio.Event()

    async def hang(jobs: Sequence[NewJob], **options: bool) -> list[bool]:
        if len(jobs) > 1:
            raise TypeError("a job can't be written")
        reached.set()
        await asyncio.sleep(60)
        return [True]

    await app.__aenter__()
    broker_of(app).enqueue = hang
    sends = [asyncio.ensure_future(work.delay(number)) for number in range(3)]
    await until(reached, "the first is sent alone")
    closing = asyncio.create_task(app.__aexit__())
    await asyncio.sleep(0)
    closing.cancel()
    outcomes = await asyncio.wait_for(asyncio.gather(*sends, return_exceptions=True), SOON)
    assert [type(one) for one in outcomes] == [BrokerUnavailable] * 3
    await asyncio.gather(closing, return_exceptions=True)


@pytest.mark.parametrize(
    "metadata",
    [
        {1: "a number"},
        {b"name": "bytes"},
        {None: 1},
        {SURROGATE: 1},
        {"text": SURROGATE},
        {"too large": 2**64},
        {"not msgpack": msgspec.Raw(b"\xc1")},
        {"not UTF-8": msgspec.Raw(b"\xa1\xff")},
        {"no time": msgspec.msgpack.Ext(-1, b"ab")},
        {"no key": msgspec.Raw(b"\x81\x80\x01")},
    ],
    ids=lambda metadata: repr(metadata)[:30],
)
async def test_metadata_that_could_not_be_read_again_is_refused_at_the_call(app: App, metadata: Any) -> None:
    @app.job
    async def work() -> None: ...

    async with app:
        with pytest.raises(ArgumentsError, match="metadata"):
            work.with_options(metadata=metadata)
        with pytest.raises(ArgumentsError, match="metadata"):
            work.request().with_options(metadata=metadata)


@pytest.mark.parametrize("headers", [{"a": 1}, {1: "a"}, {"a": None}, {"a": SURROGATE}, [("a", "b")], None], ids=repr)
async def test_headers_that_are_no_text_are_refused_at_the_call(make_app: Callable[..., App], headers: Any) -> None:
    plain, layered = make_app(), make_app(middleware=[Rewriting(lambda one: one.with_headers(headers))])

    @plain.job
    async def work() -> None: ...

    @layered.job(name="layered")
    async def layered_work() -> None: ...

    async with plain, layered:
        with pytest.raises(ArgumentsError, match="header"):
            await plain.enqueue_many([work.request().with_headers(headers)])
        with pytest.raises(ArgumentsError, match="header"):
            await plain.add_schedule("often", work.request().with_headers(headers), every=5)
        with pytest.raises(ArgumentsError, match="header"):
            await layered_work.with_options(metadata={"change": True}).delay()
        assert (await plain.queue_stats("default")).size == 0


async def test_keywords_that_utf_8_can_not_hold_are_refused_at_the_call(app: App) -> None:
    @app.job
    async def work(**options: int) -> None: ...

    async with app:
        with pytest.raises(ArgumentsError, match="keyword"):
            work.delay(**{SURROGATE: 1})


@pytest.mark.parametrize(
    "emit",
    [
        lambda: current_job().progress(1, note=SURROGATE),
        lambda: current_job().progress("one"),  # type: ignore[arg-type]
        lambda: current_job().progress(1, {}),  # type: ignore[arg-type]
        lambda: current_job().progress(1, note=5),  # type: ignore[arg-type]
        lambda: current_job().emit(SURROGATE),
        lambda: current_job().emit(msgspec.Raw(b"\xc1")),
        lambda: current_job().emit(msgspec.Raw(b"\xa1\xff")),
        lambda: current_job().emit({"a": msgspec.Raw(b"\x81\x80\x01")}),
    ],
)
async def test_an_event_that_could_not_be_read_again_is_refused_in_the_handler(
    app: App, emit: Callable[[], None]
) -> None:
    refused: Notes[ArgumentsError] = Notes()

    @app.job
    async def work() -> None:
        try:
            emit()
        except ArgumentsError as error:
            refused.append(error)
        current_job().emit("readable")

    async with app, app.worker():
        handle = await work.delay()
        assert [event.data async for event in handle.events()] == ["readable"]
    assert len(refused) == 1


@pytest.mark.parametrize("why", [SURROGATE, 5, None, "x" * 100_000], ids=lambda why: repr(why)[:20])
@pytest.mark.parametrize("steering", [Cancel, Discard])
async def test_the_reason_of_a_handler_spoils_neither_its_job_nor_others(app: App, steering: Any, why: Any) -> None:
    @app.job(retry=RetryPolicy(max_retries=0))
    async def stop() -> None:
        raise steering(why)

    @app.job
    async def work() -> int:
        return 1

    async with app, app.worker():
        stopped, others = await stop.delay(), [await work.delay() for _ in range(5)]
        job = await wait_ended(app, stopped.id)
        assert job is not None
        assert job.state in (JobState.CANCELLED, JobState.FAILED)
        assert [await one.result(SOON) for one in others] == [1] * 5


async def test_a_stored_job_that_is_not_utf_8_hides_no_other(make_app: Callable[..., App]) -> None:
    """Another program may have stored it; no call of this one does."""
    spoil: Mapping[str, Any] = {"a": msgspec.Raw(b"\xa1\xff")}

    def spoilt(request: JobRequest[Any]) -> JobRequest[Any]:
        return msgspec.structs.replace(request, options=msgspec.structs.replace(request.options, metadata=spoil))

    app = make_app(middleware=[Rewriting(spoilt)])

    @app.job
    async def work() -> int:
        return 1

    async with app:
        damaged = await work.with_options(metadata={"change": True}).delay()
        sound = await work.delay()
        assert {job.id for job in await app.jobs("ready")} == {damaged.id, sound.id}
        async with app.worker():
            assert await sound.result(SOON) == 1
            job = await wait_ended(app, damaged.id)
        assert job is not None
        assert job.state is JobState.FAILED
        assert [one.id for one in await app.failed_jobs()] == [damaged.id]
