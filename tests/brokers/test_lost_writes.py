"""A server that has lost its last writes, as after a failover, or all of them."""

from __future__ import annotations

import pytest

from asyncjobs.core.states import JobState
from asyncjobs.testing.conformance.bench import Bench
from tests.servers import Server

pytestmark = pytest.mark.anyio


async def test_the_late_result_of_a_worker_from_before_does_not_end_a_job_that_runs_again(
    running: Server, bench: Bench
) -> None:
    await bench.send(bench.new(job_id="again"))
    late = await bench.claim(worker="from before")
    with running.client() as client:
        client.flushall()
    await bench.send(bench.new(job_id="again"))
    current = await bench.claim(worker="living")
    assert await bench.settle(late.jobs) == [False]
    assert (await bench.extend(late.jobs)).lost
    job = await bench.broker.find(bench.queue, "again")
    assert job is not None
    assert job.state is JobState.RUNNING
    assert await bench.settle(current.jobs) == [True]
