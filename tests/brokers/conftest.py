"""The server of a module, and a broker on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from asyncjobs.testing.conformance.bench import Bench
from tests.conformance.kits import RedisKit
from tests.servers import Server, server


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture
async def kit(running: Server) -> AsyncIterator[RedisKit]:
    kit = RedisKit(running)
    await kit.broker.open()
    yield kit
    await kit.broker.close()
    kit.close()


@pytest.fixture
def bench(kit: RedisKit) -> Bench:
    return Bench(kit)
