"""The connections of the hot path: none is left open, and none hands a late reply to the next call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis

from asyncjobs.brokers.redis import clients
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.line import Gathered, Line, Lines
from asyncjobs.core.server import Server as Address
from asyncjobs.errors import BrokerUnavailable
from tests.servers import Server
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def address(redis_server: Server) -> Address:
    return Address(nodes=(("127.0.0.1", redis_server.port),))


@pytest.fixture
def pool(address: Address) -> redis.asyncio.ConnectionPool:
    return clients.pool(address)


@pytest.fixture
def client(redis_server: Server) -> Iterator[redis.Redis]:
    with redis_server.client() as client:
        client.flushall()
        yield client


def others(client: redis.Redis) -> list[int]:
    """Return the ids of the connections of others."""
    return [int(one["id"]) for one in client.client_list() if int(one["id"]) != client.client_id()]


async def test_a_connection_that_the_server_has_closed_while_it_rested_costs_no_call(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    one = Line(address, pool)
    before = others(client)
    assert await one.call("ECHO", "first") == b"first"
    for number in set(others(client)) - set(before):
        client.client_kill_filter(_id=number)
    for _ in range(3):
        # The loop learns of it.
        await asyncio.sleep(0)
    for _ in range(5):
        assert await one.call("ECHO", "second") == b"second"
    await one.close()


async def test_a_call_that_times_out_as_the_loop_is_blocked_says_nothing_of_the_server(
    address: Address, pool: redis.asyncio.ConnectionPool
) -> None:
    one = Line(address, pool)
    await one.call("ECHO", "first")
    call = asyncio.ensure_future(one.call("BLPOP", "nothing", 5, timeout=0.2))
    await asyncio.sleep(0.01)
    time.sleep(1.5)
    with pytest.raises(BrokerUnavailable) as raised, translated(address):
        await call
    told = str(raised.value)
    assert told.startswith(f"no reply of Redis at {address.address} was read in time, since the event loop of this ")
    assert "was blocked, for 1." in told
    await one.close()


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
async def test_a_late_reply_is_not_that_of_the_next_call(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis, how: str
) -> None:
    one = Line(address, pool)
    before = others(client)
    await one.call("ECHO", "first")
    for number in range(5):
        call = asyncio.ensure_future(one.call("BLPOP", f"list-{number}", 5, timeout=0.05 if how == "timed out" else 5))
        if how == "cancelled":
            await until(lambda: client.info("clients")["blocked_clients"] == 1, "it waits")
            call.cancel()
        with pytest.raises((asyncio.CancelledError, redis.TimeoutError)):
            await call
        client.rpush(f"list-{number}", "late")
        assert await one.call("ECHO", str(number)) == str(number).encode()
    await until(lambda: len(set(others(client)) - set(before)) == 1, "one connection is left")
    await one.close()
    await until(lambda: others(client) == before, "no connection is left")


async def test_waits_that_are_cancelled_while_they_connect_or_wait_leave_no_connection(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines = Lines(address, pool)
    before = others(client)
    for turns in range(12):
        calls = [asyncio.ensure_future(lines.call("BLPOP", "nothing", 5, timeout=5)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: others(client) == before, "no connection is left")
    await lines.close()


async def test_calls_that_go_on_while_the_connections_are_closed_leave_none(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    before = others(client)
    for turns in range(12):
        lines = Lines(address, pool)
        calls = [asyncio.ensure_future(lines.call("ECHO", "hi")) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await lines.close()
        await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(redis.ConnectionError, match="were closed"):
            await lines.call("ECHO", "hi")
    await until(lambda: others(client) == before, "no connection is left")


def gathered(address: Address, pool: redis.asyncio.ConnectionPool) -> Gathered:
    return Gathered(Lines(address, pool, 20))


async def test_calls_of_one_turn_of_the_loop_share_a_connection_and_each_has_its_own_reply(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines, before = gathered(address, pool), others(client)
    found = await asyncio.gather(
        *(lines.call("ECHO", str(number)) for number in range(250)),
        lines.call("HGET", "wrong"),
        lines.send([("SET", "a", "1"), ("GET", "a")]),
        return_exceptions=True,
    )
    assert found[:250] == [str(number).encode() for number in range(250)]
    assert isinstance(found[250], redis.ResponseError)
    assert found[251] == [b"OK", b"1"]
    # Of a hundred commands each.
    assert len(set(others(client)) - set(before)) == 3
    await lines.close()
    await until(lambda: others(client) == before, "no connection is left")


async def test_a_call_that_is_cancelled_leaves_those_alone_that_share_its_round_trip(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines, before = gathered(address, pool), others(client)
    for turns in range(6):
        calls = [asyncio.ensure_future(lines.call("ECHO", str(number))) for number in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        calls[0].cancel()
        assert (await asyncio.gather(*calls, return_exceptions=True))[1:] == [b"1", b"2"]
    await lines.close()
    await until(lambda: others(client) == before, "no connection is left")


async def test_calls_that_wait_fail_where_the_connections_are_closed(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines, before = gathered(address, pool), others(client)
    call = asyncio.ensure_future(lines.call("BLPOP", "nothing", 60))
    await until(lambda: client.info("clients")["blocked_clients"] == 1, "it waits")
    await lines.close()
    with pytest.raises(redis.ConnectionError):
        await call
    await until(lambda: others(client) == before, "no connection is left")


@pytest.mark.parametrize("turns", range(4))
async def test_no_call_hangs_where_the_connections_are_closed_before_its_round_trip_begins(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis, turns: int
) -> None:
    lines, before = gathered(address, pool), others(client)
    calls = [asyncio.ensure_future(lines.call("ECHO", str(number))) for number in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await lines.close()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, bytes | redis.ConnectionError) for one in found)
    await lines.close()
    await until(lambda: others(client) == before, "no connection is left")
