"""Awaiting results and events while Redis fails over, is away, or refuses the subscription."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import pytest

from asyncjobs import App, BrokerRefused, BrokerUnavailable, JobHandle, JobState, Worker
from asyncjobs.errors import ResultTimeout
from tests.servers import Server, sentinel_url, sentinels, server
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def durable() -> Iterator[Server]:
    """A server that keeps its data over a restart."""
    with server(None, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


async def test_a_result_arrives_though_the_primary_froze_and_another_took_its_place() -> None:
    with sentinels() as (watchers, primary, _):
        app = App(sentinel_url(watchers) + "?command_timeout=1", lease=2, send_timeout=SOON, durability="replicated")

        @app.job
        async def note(number: int) -> int:
            return number

        async with app, app.worker():
            assert await (await note.delay(1)).result(SOON) == 1
            handle = await note.schedule_in(4, 2)
            wait = asyncio.create_task(handle.result())
            await until(lambda: _watched(primary), "the wait is registered")
            primary.kill(signal.SIGSTOP)
            try:
                # The server that froze says nothing, and closes no connection.
                assert await asyncio.wait_for(wait, SOON) == 2
            finally:
                primary.kill(signal.SIGCONT)


def _watched(running: Server) -> int:
    with contextlib.closing(running.client()) as client:
        return int(client.hlen("asyncjobs:{default}:waiters"))


@pytest.mark.parametrize("what", ["result", "events"])
async def test_a_wait_that_begins_while_redis_is_away_goes_on_once_it_is_back(durable: Server, what: str) -> None:
    app = App(durable.url)

    @app.job
    async def note(number: int) -> int:
        return number

    async with app:
        handle = await note.delay(1)
        durable.kill()

        async def wait() -> object:
            return await handle.result(SOON) if what == "result" else [event async for event in handle.events()]

        waiting = asyncio.create_task(wait())
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        await asyncio.to_thread(durable.start)
        async with app.worker():
            async with asyncio.timeout(SOON):
                assert await waiting == (1 if what == "result" else [])


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_wait_for_a_result_ends_at_its_timeout_while_redis_is_away(durable: Server, fault: str) -> None:
    app = App(durable.url)

    @app.job
    async def note() -> None: ...

    async with app:
        handle = await note.delay()
        with pytest.raises(ResultTimeout, match=r"within 0.05 s"):
            await handle.result(0.05)
        durable.kill(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailable, match=r"can't be reached|has not answered"):
                await handle.result(0.5)
            assert time.monotonic() - began < 2.5
        finally:
            if fault == "frozen":
                durable.kill(signal.SIGCONT)


async def test_a_user_without_channels_learns_that_he_may_not_await(redis_server: Server, redis_url: str) -> None:
    with contextlib.closing(redis_server.client()) as client:
        client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "resetchannels")
    app = App(redis_url.replace("redis://", "redis://mute:secret@"))

    @app.job
    async def note() -> None: ...

    async with app:
        handle = await note.delay()
        for wait in (handle.result(SOON), anext(handle.events())):
            with pytest.raises(BrokerRefused, match=r"access a channel.*`asyncjobs doctor --acl ROLE` prints"):
                await asyncio.wait_for(wait, 2)


async def test_a_worker_without_channels_cancels_a_job_when_it_extends_its_lease(
    redis_server: Server, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(redis_server.client()) as client:
        client.execute_command("ACL", "SETUSER", "mute", "on", ">secret", "~*", "+@all", "resetchannels")
    app = App(redis_url.replace("redis://", "redis://mute:secret@"), lease=1.0)
    started = asyncio.Event()

    @app.job
    async def stay() -> None:
        started.set()
        await asyncio.sleep(60)

    async with app, Worker(app).running():
        handle = await stay.delay()
        await until(started, "the handler has started")
        await handle.cancel()
        await until_ended(handle)
    assert "cancellations of running jobs arrive only when leases are extended" in caplog.text


async def until_ended(handle: JobHandle[None]) -> None:
    """Wait for the end of a job without a subscription."""
    async with asyncio.timeout(SOON):
        while (await handle.refresh()).state is not JobState.CANCELLED:
            await asyncio.sleep(0.02)
