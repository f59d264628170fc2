"""Many seeds of the simulation; one that fails is told by its number, and can be run alone: SIMULATION_SEED=7."""

from __future__ import annotations

import asyncio
import logging
import os

import pytest

from asyncjobs.ports.clock import SystemClock
from tests.conformance.kits import MemoryKit, RedisKit
from tests.lengths import length
from tests.servers import Server
from tests.simulation.simulator import Simulation

SEEDS = length(400, 1500)
ONE = os.environ.get("SIMULATION_SEED")


def seeds(count: int) -> list[int]:
    return [int(ONE)] if ONE else list(range(count))


@pytest.fixture(autouse=True)
def quiet() -> None:
    """What the workers say of their troubles is no news here."""
    logging.getLogger("asyncjobs").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("asyncjobs").setLevel(logging.NOTSET)


def test_on_the_memory_broker_in_virtual_time() -> None:
    async def run() -> None:
        for seed in seeds(SEEDS):
            kit = MemoryKit()
            await Simulation(seed, kit, kit.clock).run()

    asyncio.run(run())


def test_on_a_real_server_a_command_at_a_time(redis_server: Server) -> None:
    async def run() -> None:
        for seed in seeds(SEEDS // 30):
            kit = RedisKit(redis_server)
            try:
                await Simulation(seed, kit, SystemClock()).run()
            finally:
                kit.close()

    asyncio.run(run())
