"""Schedules over many workers, some of them killed, and a rename rolled out under load."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from asyncjobs import JobState
from tests.apps import find_or_none
from tests.faults.harness import SECONDS, Load, Report, Workers, opened
from tests.waiting import until

pytestmark = pytest.mark.anyio

# Each is a process; twenty of them in `nox -s faults`.
WORKERS = 20 if SECONDS > 30 else 8


def _ticks(folder: Path) -> dict[int, list[float]]:
    """Return when the job of each tick (Unix seconds) was started."""
    starts: dict[int, list[float]] = {}
    for path in folder.glob("journal-*"):
        for line in path.read_text().splitlines():
            parts = line.split()
            if len(parts) == 4 and parts[0] == "start" and parts[1].startswith("every-second@"):
                starts.setdefault(int(parts[1].partition("@")[2]) // 1000, []).append(float(parts[3]))
    return starts


@pytest.mark.parametrize("kills", [False, True], ids=["calm", "killed"])
async def test_a_cron_of_every_second_over_many_workers(
    redis_url: str, tmp_path: Path, report: Report, kills: bool
) -> None:
    load, workers, chance = Load(redis_url, tmp_path), Workers(redis_url, tmp_path), random.Random(2)
    seconds = int(max(SECONDS, 6))
    async with opened(load, workers):
        workers.start(WORKERS)
        await until(lambda: len(list(tmp_path.glob("journal-*"))) == WORKERS, "all have started", within=10 * WORKERS)
        request = load.app.registry.get("tick").request()
        added = await load.app.add_schedule("every-second", request, cron="* * * * * *", missed="all")
        assert added.next_at is not None
        first = round(added.next_at.timestamp())
        while len(_ticks(tmp_path)) < seconds:
            await asyncio.sleep(0.5)
            if kills:
                workers.kill(chance.choice(workers.processes))
                workers.start()
        await load.app.remove_schedule("every-second")
        last = max(_ticks(tmp_path))
        ticks = range(first, last + 1)

        async def has_completed(job_id: str) -> bool:
            job = await find_or_none(load.app, job_id, queue="default")
            return job is not None and job.state is JobState.COMPLETED

        for tick in ticks:
            job_id = f"every-second@{tick * 1000}"
            await until(partial(has_completed, job_id), f"{job_id} has completed")
        figures = await load.app.queue_stats("default")
    starts = _ticks(tmp_path)
    report.accepted, report.completed = len(ticks), figures.succeeded_total
    report.lost, report.doubled = len(set(ticks) - set(starts)), figures.processed_total - len(ticks)
    report.again = sum(len(times) > 1 for times in starts.values())
    late = sorted(min(times) - tick for tick, times in starts.items())
    print(f"ticks {len(ticks)}, lateness p50 {late[len(late) // 2] * 1000:.0f} ms, most {late[-1] * 1000:.0f} ms")
    assert (sorted(starts), report.lost, report.doubled) == (list(ticks), 0, 0)
    assert kills or report.again == 0


async def test_a_rename_rolled_out_under_load(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path)
    async with opened(load, workers):
        workers.start(2)
        load.start(seconds=0.02)
        await asyncio.sleep(SECONDS / 4)
        # Both codes side by side, the sender first with the old name, then with the new.
        workers.start(1, RENAMED="1")
        await asyncio.sleep(SECONDS / 4)
        load.is_renamed = True
        await asyncio.sleep(SECONDS / 4)
        workers.start(1, RENAMED="1")
        for old in workers.processes[:2]:
            # One that is still importing has no handler of signals yet.
            await workers.until_present(load.app, old)
            assert await workers.end(old) == 0
        await asyncio.sleep(SECONDS / 4)
        await load.settle(report)
    assert_nothing_lost(report)
    assert report.dead == len(load.failing)
