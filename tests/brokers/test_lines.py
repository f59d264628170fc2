"""The connections of the hot path: none is left open, and none hands a late reply to the next call.

The server is this module's own: on one that is shared, apps of other tests open and close connections at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from asyncjobs.brokers.redis import clients
from asyncjobs.brokers.redis.connection import translated
from asyncjobs.brokers.redis.line import Calls, Gathered, Line, Lines
from asyncjobs.core.server import Server as Address
from asyncjobs.errors import BrokerUnavailable
from tests.servers import Server
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def address(running: Server) -> Address:
    return Address(nodes=(("127.0.0.1", running.port),))


@pytest.fixture
def pool(address: Address) -> redis.asyncio.ConnectionPool:
    return clients.pool(address)


@pytest.fixture
def client(running: Server) -> Iterator[redis.Redis]:
    with running.client() as client:
        client.flushall()
        yield client


def others(client: redis.Redis) -> set[int]:
    """Return the ids of the connections of others; the server lists them in an order that changes."""
    return {int(one["id"]) for one in client.client_list()} - {client.client_id()}


async def none_is_left(client: redis.Redis) -> None:
    await until(lambda: not others(client), "no connection is left")


async def test_a_connection_that_the_server_has_closed_while_it_rested_costs_no_call(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    one = Line(address, pool)
    assert await one.call("ECHO", "first") == b"first"
    for number in others(client):
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
    await until(lambda: len(others(client)) == 1, "one connection is left")
    await one.close()
    await none_is_left(client)


async def test_waits_that_are_cancelled_while_they_connect_or_wait_leave_no_connection(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines = Lines(address, pool)
    for turns in range(12):
        calls = [asyncio.ensure_future(lines.call("BLPOP", "nothing", 5, timeout=5)) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await none_is_left(client)
    await lines.close()


@pytest.mark.parametrize("how", ["all at once", "one after the other"])
async def test_calls_that_go_on_while_the_connections_are_closed_leave_none(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis, how: str
) -> None:
    for turns in range(40):
        lines: Calls = Lines(address, pool) if how == "all at once" else Line(address, pool)
        calls = [asyncio.ensure_future(lines.call("ECHO", "hi")) for _ in range(5)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await lines.close()
        # At whatever step the closing has met a call, nothing else comes of it than a reply or this error.
        await are_answered_or_closed(calls)
        with pytest.raises(redis.ConnectionError, match="were closed"):
            await lines.call("ECHO", "hi")
    await none_is_left(client)


async def are_answered_or_closed(calls: Sequence[asyncio.Future[Any]]) -> None:
    async with asyncio.timeout(SOON):
        for found in await asyncio.gather(*calls, return_exceptions=True):
            if found != b"hi":
                assert isinstance(found, redis.ConnectionError)
                assert str(found) == "the connections were closed"


async def test_a_call_that_opens_its_connection_anew_while_the_connections_are_closed_leaves_none(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    for turns in range(12):
        lines = Lines(address, pool)
        await lines.call("ECHO", "first")
        client.client_kill_filter(skipme=True, _type="normal")
        await asyncio.sleep(0.01)
        call = asyncio.ensure_future(lines.call("ECHO", "hi"))
        for _ in range(turns):
            await asyncio.sleep(0)
        await lines.close()
        await are_answered_or_closed([call])
    await none_is_left(client)


async def test_a_call_that_waits_ends_as_its_connection_is_closed(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    one = Line(address, pool)
    calls = [asyncio.ensure_future(one.call("BLPOP", "nothing", 60, timeout=60)) for _ in range(3)]
    await until(lambda: client.info("clients")["blocked_clients"] == 1, "it waits")
    await one.close()
    await are_answered_or_closed(calls)
    await none_is_left(client)


async def test_a_connection_that_was_reset_while_it_rested_costs_no_call_and_harms_no_other() -> None:
    accepted: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            # Each command is an array, and each of its words has two lines.
            while head := await reader.readline():
                for _ in range(2 * int(head[1:])):
                    await reader.readline()
                writer.write(b"+OK\r\n")

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        address = Address(nodes=(("127.0.0.1", server.sockets[0].getsockname()[1]),))
        pool = clients.pool(address)
        resting, other = Line(address, pool), Line(address, pool)
        assert await resting.call("PING") == b"OK"
        accepted[0].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted[0].transport.abort()
        await asyncio.sleep(0.05)
        # It has the number that the one which was reset had.
        assert await other.call("PING") == b"OK"
        assert await resting.call("PING") == b"OK"
        used = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - used < 0.25, "the loop does nothing meanwhile"
        await resting.close()
        await other.close()


def gathered(address: Address, pool: redis.asyncio.ConnectionPool) -> Gathered:
    return Gathered(Lines(address, pool, 20))


async def test_calls_of_one_turn_of_the_loop_share_a_connection_and_each_has_its_own_reply(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines = gathered(address, pool)
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
    assert len(others(client)) == 3
    await lines.close()
    await none_is_left(client)


async def test_a_call_that_is_cancelled_leaves_those_alone_that_share_its_round_trip(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines = gathered(address, pool)
    for turns in range(6):
        calls = [asyncio.ensure_future(lines.call("ECHO", str(number))) for number in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        calls[0].cancel()
        assert (await asyncio.gather(*calls, return_exceptions=True))[1:] == [b"1", b"2"]
    await lines.close()
    await none_is_left(client)


async def test_calls_that_wait_fail_where_the_connections_are_closed(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis
) -> None:
    lines = gathered(address, pool)
    call = asyncio.ensure_future(lines.call("BLPOP", "nothing", 60))
    await until(lambda: client.info("clients")["blocked_clients"] == 1, "it waits")
    await lines.close()
    with pytest.raises(redis.ConnectionError):
        await call
    await none_is_left(client)


@pytest.mark.parametrize("turns", range(4))
async def test_no_call_hangs_where_the_connections_are_closed_before_its_round_trip_begins(
    address: Address, pool: redis.asyncio.ConnectionPool, client: redis.Redis, turns: int
) -> None:
    lines = gathered(address, pool)
    calls = [asyncio.ensure_future(lines.call("ECHO", str(number))) for number in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await lines.close()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, bytes | redis.ConnectionError) for one in found)
    await lines.close()
    await none_is_left(client)
