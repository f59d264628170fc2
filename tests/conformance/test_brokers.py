"""Our own brokers keep what every broker promises."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncjobs.testing.conformance import BrokerConformance
from tests.conformance.kits import ClusterKit, MemoryKit, RedisKit
from tests.servers import Server


class TestMemory(BrokerConformance):
    @pytest.fixture
    def kit(self) -> MemoryKit:
        return MemoryKit()


class TestRedis(BrokerConformance):
    @pytest.fixture
    async def kit(self, lane: Server) -> AsyncIterator[RedisKit]:
        kit = RedisKit(lane)
        await kit.broker.open()
        yield kit
        await kit.broker.close()
        kit.close()


class TestCluster(BrokerConformance):
    @pytest.fixture
    async def kit(self, nodes: list[Server]) -> AsyncIterator[ClusterKit]:
        kit = ClusterKit(nodes)
        await kit.broker.open()
        yield kit
        await kit.broker.close()
        kit.close()
