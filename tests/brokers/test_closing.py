"""A broker that is closed among calls: each of them ends, and no connection is left, nor opened by a late one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from asyncjobs.errors import BrokerUnavailable
from asyncjobs.testing.conformance.bench import Bench
from tests.conformance.kits import ClusterKit, RedisKit
from tests.servers import Server
from tests.waiting import SOON, until

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["server", "cluster"])
def servers(request: pytest.FixtureRequest) -> list[Server]:
    found: list[Server] = [request.getfixturevalue("running")] if request.param == "server" else []
    return found or request.getfixturevalue("nodes")


@pytest.fixture
def bench(servers: list[Server]) -> Iterator[Bench]:
    with contextlib.closing(RedisKit(*servers) if len(servers) == 1 else ClusterKit(servers)) as kit:
        yield Bench(kit)


def connections(servers: list[Server]) -> set[tuple[int, int]]:
    found: set[tuple[int, int]] = set()
    for server in servers:
        with server.client() as client:
            own = client.client_id()
            found |= {(server.port, int(one["id"])) for one in client.client_list() if int(one["id"]) != own}
    return found


def calls(bench: Bench) -> list[Coroutine[Any, Any, Any]]:
    """Return calls over every kind of connection, and more than one over those of a script."""
    broker = bench.broker
    ended = broker.wait_end("bench", "none", 0.05)
    return [*(bench.send() for _ in range(3)), bench.claim(), bench.claim(), ended, broker.overview(["bench"])]


@pytest.mark.parametrize("first", range(3))
async def test_no_connection_is_left_at_whatever_step_of_its_calls_a_broker_closes(
    servers: list[Server], bench: Bench, first: int
) -> None:
    before = connections(servers)
    for turns in range(first, 45, 3):
        await bench.broker.open()
        going_on = [asyncio.ensure_future(call) for call in calls(bench)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await bench.broker.close()
        async with asyncio.timeout(SOON):
            found = await asyncio.gather(*going_on, return_exceptions=True)
        assert [one for one in found if isinstance(one, Exception) and not isinstance(one, BrokerUnavailable)] == []
        for call in calls(bench):
            with pytest.raises(BrokerUnavailable, match="closed"):
                await call
    await until(lambda: connections(servers) <= before, "no connection is left")
