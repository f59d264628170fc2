"""What Redis says while it can't, or won't, and what a user is told."""

from __future__ import annotations

import asyncio
import contextlib
import traceback

import pytest
import redis.exceptions

from asyncjobs import App, BrokerRefused, BrokerUnavailable
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.core.server import Server as Address
from tests.servers import Server
from tests.waiting import SOON, until

PASSING = [
    redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    redis.exceptions.ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed"),
    redis.exceptions.MasterDownError("Link with MASTER is down"),
    redis.exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
    redis.exceptions.TryAgainError("TRYAGAIN Multiple keys request during rehashing of slot"),
    redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
    redis.exceptions.ResponseError(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    ),
    redis.exceptions.ConnectionError("Connection closed by server."),
    redis.exceptions.TimeoutError("Timeout reading from socket"),
    ConnectionResetError("reset"),
]
FINAL = [
    (redis.exceptions.AuthenticationError("invalid password"), "refused the login"),
    (redis.exceptions.ResponseError("NOAUTH Authentication required."), "refused the login"),
    (redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "out of memory"),
    # So Redis 6.2 words it where a script is refused.
    (redis.exceptions.ResponseError("-OOM command not allowed when used memory > 'maxmemory'."), "out of memory"),
    (redis.exceptions.ResponseError("ERR unknown command"), "refused: ERR unknown"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_told_as_unavailable(error: Exception) -> None:
    with pytest.raises(BrokerUnavailable, match="Redis at localhost:6379 can't"), translated(Address()):
        raise error


@pytest.mark.parametrize(("error", "message"), FINAL)
def test_what_will_not_pass_is_told_as_refused(error: Exception, message: str) -> None:
    with pytest.raises(BrokerRefused, match=message), translated(Address()):
        raise error


def test_a_server_that_repeats_the_password_does_not_make_it_known() -> None:
    # So Redis answers where AUTH is renamed.
    error = redis.exceptions.ResponseError("unknown command 'AUTH', with args beginning with: 'hunter2' ")
    address = Address(password="hunter2")
    with pytest.raises(BrokerRefused, match="unknown command 'AUTH'") as caught, translated(address):
        raise error
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.anyio
async def test_a_send_waits_while_the_server_runs_the_script_of_another(redis_server: Server, redis_url: str) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> str:
        return "done"

    client = redis_server.client()
    threshold = client.config_get("lua-time-limit")["lua-time-limit"]
    client.config_set("lua-time-limit", 10)
    slow = """
        local function now() local t = redis.call('TIME'); return t[1] * 1000 + t[2] / 1000 end
        local start = now()
        while now() < start + 1500 do end
    """
    try:
        async with app:
            running = asyncio.create_task(asyncio.to_thread(client.eval, slow, 0))
            await until(lambda: _is_busy(redis_server), "the server refuses other commands")
            handle = await work.delay()
            assert (await running, handle.is_new) == (None, True)
    finally:
        client.config_set("lua-time-limit", threshold)
        client.close()


def _is_busy(server: Server) -> bool:
    with contextlib.closing(server.client()) as client:
        try:
            client.ping()
        except redis.exceptions.ResponseError as error:
            return str(error).startswith("BUSY")
        return False


@pytest.mark.anyio
async def test_scripts_that_the_server_has_forgotten_are_sent_again(redis_server: Server, redis_url: str) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> str:
        return "done"

    async with app, app.worker():
        assert await (await work.delay()).result(SOON) == "done"
        with contextlib.closing(redis_server.client()) as client:
            client.script_flush()
        assert await (await work.delay()).result(SOON) == "done"


@pytest.mark.anyio
async def test_a_send_fails_within_its_bound_while_redis_hangs() -> None:
    writers = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    app = App(f"redis://127.0.0.1:{port}?command_timeout=0.3&connect_timeout=0.3", send_timeout=0.5)
    async with server:
        began = asyncio.get_running_loop().time()
        with pytest.raises(BrokerUnavailable):
            async with app:
                pass
        assert asyncio.get_running_loop().time() - began < 2
        for writer in writers:
            await writer.wait_closed()


@pytest.mark.anyio
async def test_a_caller_cancelled_while_he_subscribes_leaves_the_others_waiting_for_their_results(
    redis_url: str,
) -> None:
    app = App(redis_url)

    @app.job
    async def work() -> str:
        return "done"

    for loops in range(12):
        # However far the first one has come when he is cancelled.
        async with app, app.worker():
            handle = await work.schedule_in(0.05)
            waits = [asyncio.create_task(handle.result(SOON)) for _ in range(3)]
            for _ in range(loops):
                await asyncio.sleep(0)
            waits[0].cancel()
            results = await asyncio.gather(*waits, return_exceptions=True)
            assert results[1:] == ["done", "done"]
