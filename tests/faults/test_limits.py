"""The limit of a queue while its workers die."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.faults.harness import LEASE_S, SECONDS, Load, Report, Workers, opened
from tests.waiting import until

pytestmark = pytest.mark.anyio


#: How many jobs each key has.
JOBS_A_KEY = 12

#: How long it takes a worker to start, and to look for jobs of dead ones, on a busy machine, in seconds.
STARTED_S = 8.0


def changes_of(folder: Path, killed: Mapping[int, float]) -> list[tuple[float, int, str]]:
    """Return when which job began to run (1) and ended (-1), in order; those of a killed worker ran until then."""
    changes: list[tuple[float, int, str]] = []
    for path in folder.glob("journal-*"):
        running: set[str] = set()
        for event, job_id, _, at in filter(lambda one: len(one) == 4, map(str.split, path.read_text().splitlines())):
            changes.append((float(at), 1 if event == "start" else -1, job_id))
            (running.add if event == "start" else running.discard)(job_id)
        pid = int(path.name.removeprefix("journal-"))
        changes += [(killed.get(pid, time.time()), -1, job_id) for job_id in running]
    # At the same millisecond, ends come first.
    return sorted(changes)


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
    # Those that fail note no end.
    assert most_of([one for one in changes_of(tmp_path, killed) if one[2] not in load.failing]) == 3


async def test_kill_9_of_a_worker_every_second_with_three_slots_for_each_of_many_keys(
    redis_url: str, tmp_path: Path, report: Report, assert_nothing_lost: Callable[[Report], None]
) -> None:
    # Two workers have not slots enough for all keys, so the others run jobs too.
    load, workers = Load(redis_url, tmp_path), Workers(redis_url, tmp_path, concurrency=100)
    keyed, killed = load.app.registry.get("keyed"), dict[int, float]()
    async with opened(load, workers):
        workers.start(4)
        await until(lambda: len(list(tmp_path.glob("journal-*"))) == 4, "all workers have started", within=60)
        ids = [(key, f"{key}-{number}") for number in range(JOBS_A_KEY) for key in range(100)]
        calls = [keyed.with_options(job_id=job_id).request(key, 1.0) for key, job_id in ids]
        load.accepted.update((handle.id, handle) for handle in await load.app.enqueue_many(calls))
        for _ in range(int(SECONDS)):
            await asyncio.sleep(1)
            # Two of them stay: how long new ones take to start is not what is measured.
            one = busiest_of(tmp_path, workers.processes[2:])
            workers.kill(one)
            killed[one.pid] = time.time()
            workers.start()
        await load.settle(report)
    assert_nothing_lost(report)
    assert report.again > 0
    changes = changes_of(tmp_path, killed)
    for key in range(100):
        own = [one for one in changes if one[2].startswith(f"{key}-")]
        assert most_of(own) == 3, f"{most_of(own)} jobs of key {key} at once"
        assert longest_below(own, 3) < LEASE_S + STARTED_S, f"key {key} was not used for {longest_below(own, 3):.1f} s"


def busiest_of(folder: Path, processes: Sequence[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Return the process that runs most jobs."""

    def running(process: subprocess.Popen[bytes]) -> int:
        journal = folder / f"journal-{process.pid}"
        text = journal.read_text() if journal.exists() else ""
        return text.count("start ") - text.count("end ")

    return max(processes, key=running)


def most_of(changes: Sequence[tuple[float, int, str]]) -> int:
    """Return how many jobs ran at once."""
    return max(itertools.accumulate(change for _, change, _ in changes))


def longest_below(changes: Sequence[tuple[float, int, str]], slots: int) -> float:
    """Return for how long at most fewer jobs ran than there are slots, although others waited."""
    left = {job_id for _, _, job_id in changes}
    now, since, longest = 0, None, 0.0
    for at, change, job_id in changes:
        now += change
        left.discard(job_id)
        if now >= slots or not left:
            longest = max(longest, at - since) if since is not None else longest
            since = None
        elif since is None:
            since = at
    return longest
