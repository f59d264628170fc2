"""The limit of a queue while its workers die."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path

import pytest

from tests.faults.harness import SECONDS, Load, Report, Workers, opened

pytestmark = pytest.mark.anyio


def most_at_once(folder: Path, killed: Mapping[int, float], failing: Container[str]) -> int:
    """Return how many handlers have run at the same moment, on all workers; those of a killed one ran until then.

    Those of ``failing`` jobs note no end, and aren't counted.
    """
    changes: list[tuple[float, int]] = []
    for path in folder.glob("journal-*"):
        running: set[str] = set()
        for event, job_id, _, at in filter(lambda one: len(one) == 4, map(str.split, path.read_text().splitlines())):
            if job_id in failing:
                continue
            if event == "start":
                running.add(job_id)
                changes.append((float(at), 1))
            elif job_id in running:
                running.discard(job_id)
                changes.append((float(at), -1))
        pid = int(path.name.removeprefix("journal-"))
        changes += [(killed.get(pid, time.time()), -1) for _ in running]
    most = now = 0
    # At the same millisecond, ends come first.
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


async def test_kill_9_of_a_worker_every_second_under_a_limit(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    load, workers, chance = Load(redis_url, tmp_path), Workers(redis_url, tmp_path), random.Random(1)
    killed: dict[int, float] = {}
    async with opened(load, workers):
        await load.app.set_limit("default", running=3)
        for number in range(30):
            await load.add(load.app.registry.get("work").delay(number, 0.05))
        workers.start(3)
        load.start(seconds=0.05, pause=0.05)
        for _ in range(int(SECONDS)):
            await asyncio.sleep(1)
            one = chance.choice(workers.processes)
            workers.kill(one)
            killed[one.pid] = time.time()
            workers.start()
        await load.settle(report)
    assert_nothing_lost(report)
    assert most_at_once(tmp_path, killed, load.failing) == 3
