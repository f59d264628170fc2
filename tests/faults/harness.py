"""Runs a load against a fault, and counts: what was accepted, lost, completed twice, run again, and how soon.

The counts come from Redis and from the journals that the handlers write, never from the workers' own word.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import redis.asyncio
import redis.asyncio.cluster

from asyncjobs import App, BrokerError, JobHandle, JobState
from asyncjobs.brokers.redis import clients
from asyncjobs.brokers.redis.keys import QueueKeys
from tests.apps import find_or_none
from tests.faults.program import define
from tests.waiting import SOON, until

__all__ = ["LEASE_S", "SECONDS", "Load", "Report", "Workers", "opened", "retried"]

PROGRAM = Path(__file__).with_name("program.py")

#: How long each fault lasts: short in the ordinary tests, a minute in `nox -s faults`.
SECONDS = float(os.environ.get("FAULT_SECONDS", "4"))
LEASE_S = 2.0


class Report:
    """One row of the table; ``lost`` and ``doubled`` are what must be zero."""

    HEAD = ("scenario", "accepted", "completed", "dead", "lost", "doubled", "re-executed", "longest recovery s")

    def __init__(self, scenario: str) -> None:
        self.scenario = scenario
        self.accepted = self.completed = self.dead = self.lost = self.doubled = self.again = 0
        self.recovery_s = 0.0

    def row(self) -> tuple[str, ...]:
        counts = (self.accepted, self.completed, self.dead, self.lost, self.doubled, self.again)
        return (self.scenario, *map(str, counts), f"{self.recovery_s:.1f}")


class Workers:
    """Worker processes, and what can be done to them."""

    def __init__(self, url: str, folder: Path, *, lease: float = LEASE_S, concurrency: int = 20) -> None:
        self._arguments = [url, str(folder), str(lease), str(concurrency)]
        self._folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, count: int = 1, **environment: str) -> None:
        for _ in range(count):
            with (self._folder / "workers.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.program", *self._arguments],
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            self.processes.append(process)

    def kill(self, process: subprocess.Popen[bytes], how: int = signal.SIGKILL) -> None:
        process.send_signal(how)
        if how not in (signal.SIGSTOP, signal.SIGCONT):
            self.processes.remove(process)
            process.wait(10)

    @contextlib.asynccontextmanager
    async def replacing_the_dead(self) -> AsyncIterator[None]:
        """Start a process for each one that has ended, until the block is left."""

        async def replace() -> None:
            while True:
                for process in [one for one in self.processes if one.poll() is not None]:
                    self.processes.remove(process)
                    self.start()
                await asyncio.sleep(0.05)

        replacing = asyncio.create_task(replace())
        try:
            yield
        finally:
            replacing.cancel()

    async def until_present(self, app: App, process: subprocess.Popen[bytes]) -> None:
        """Wait until one has announced itself, which it does once it takes jobs."""

        async def is_present() -> bool:
            return process.pid in [worker.pid for worker in (await app.stats()).workers]

        await until(is_present, f"the worker of process {process.pid} is there")

    async def end(self, process: subprocess.Popen[bytes]) -> int:
        """Stop one by SIGTERM and return its exit code."""
        self.processes.remove(process)
        process.terminate()
        return await asyncio.to_thread(process.wait, SOON)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(10)


class Load:
    """A sender that goes on whatever happens, and remembers each job that was accepted."""

    def __init__(self, url: str, folder: Path, **settings: object) -> None:
        self.app = App(url, **{"lease": LEASE_S, "send_timeout": 1, **settings})  # type: ignore[arg-type]
        define(self.app)
        renamed = App("memory://")
        define(renamed, renamed=True)
        self._work = self.app.registry.get("work")
        self._toil = renamed.registry.get("toil").with_options(app=self.app)
        #: Whether the sender runs the code after the deploy.
        self.is_renamed = False
        self._fail = self.app.registry.get("fail")
        self.failing: set[str] = set()
        self._is_stopping = False
        self._folder = folder
        self.accepted: dict[str, JobHandle[Any]] = {}
        self.refused = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, *, seconds: float = 0.01, pause: float = 0.005) -> None:
        """Send for ever: one job in fifty fails for ever, the others take ``seconds``."""
        self._task = asyncio.create_task(self._send(seconds, pause))

    async def _send(self, seconds: float, pause: float) -> None:
        number = 0
        while not self._is_stopping:
            number += 1
            if number % 50 == 0:
                await self.add(self._fail.delay(number), fails=True)
            else:
                await self.add((self._toil if self.is_renamed else self._work).delay(number, seconds))
            await asyncio.sleep(pause)

    async def add(self, sending: Awaitable[JobHandle[Any]], *, fails: bool = False) -> None:
        """Send one more; it counts as accepted once the call has returned."""
        try:
            handle = await sending
        except BrokerError:
            self.refused += 1
        else:
            self.accepted[handle.id] = handle
            if fails:
                self.failing.add(handle.id)

    async def stop(self) -> None:
        # Not cancelled: what was just being sent is then neither known as accepted nor as refused.
        self._is_stopping = True
        if self._task is not None:
            await self._task
            self._task = None

    async def settle(self, report: Report, within: float = 60) -> Report:
        """Wait until every accepted job has ended or is dead, and count."""
        await self.stop()
        left = dict(self.accepted)
        states: Counter[JobState | None] = Counter()
        with anyio.move_on_after(within):
            while left:
                for handle in list(left.values()):
                    job = await retried(lambda handle=handle: find_or_none(self.app, handle.id, queue=handle.queue))
                    if job is None or job.state in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED):
                        states[None if job is None else job.state] += 1
                        del left[handle.id]
                await asyncio.sleep(0.05 if left else 0)
        figures = await retried(lambda: self.app.queue_stats("default"))
        report.accepted = len(self.accepted)
        report.completed = states[JobState.COMPLETED] + states[JobState.CANCELLED]
        report.dead = states[JobState.FAILED]
        # Still live is not lost; without a record, or waiting where nobody will ever look, it is.
        report.lost = states[None] + len(left)
        # Redis may hold more than was accepted, where a reply was lost; never more ends than jobs it holds.
        report.doubled = max(0, figures.processed_total + figures.cancelled_total - await self._distinct_ends())
        starts, report.recovery_s = self._journals()
        report.again = sum(1 for number in starts.values() if number > 1)
        return report

    async def _distinct_ends(self) -> int:
        """How many different jobs have ended, counted in the keys of Redis themselves."""
        start = QueueKeys("asyncjobs", "default").of("job", "")
        server = self.app.settings.server
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster
        async with contextlib.AsyncExitStack() as stack:
            if server.mode == "cluster":
                nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in server.nodes]
                client = redis.asyncio.RedisCluster(startup_nodes=nodes)
            else:
                pool = clients.pool(server)
                stack.push_async_callback(clients.close_pool, pool)
                client = redis.asyncio.Redis.from_pool(pool)
            stack.push_async_callback(client.aclose)
            ids = {key.decode().removeprefix(start) async for key in client.scan_iter(match=f"{start}*", count=1000)}
        jobs = [await find_or_none(self.app, job_id, queue="default") for job_id in ids]
        ends = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)
        return sum(1 for job in jobs if job is not None and job.state in ends)

    def _journals(self) -> tuple[Counter[str], float]:
        """Count the starts of each job, and find the longest time from a start that was cut short to the next one."""
        lines = [line.split() for path in self._folder.glob("journal-*") for line in path.read_text().splitlines()]
        starts: Counter[str] = Counter()
        cut_short: dict[str, float] = {}
        longest = 0.0
        for event, job_id, _, at in sorted((one for one in lines if len(one) == 4), key=lambda one: float(one[3])):
            if event == "end":
                cut_short.pop(job_id, None)
            elif job_id not in self.failing:
                starts[job_id] += 1
                longest = max(longest, float(at) - cut_short.get(job_id, float(at)))
                cut_short[job_id] = float(at)
        return starts, longest


T = TypeVar("T")


async def retried(call: Callable[[], Awaitable[T]], within: float = SOON) -> T:
    """Call again while the broker is away."""
    until_at = time.monotonic() + within
    while True:
        try:
            return await call()
        except BrokerError:
            if time.monotonic() > until_at:
                raise
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def opened(load: Load, workers: Workers) -> AsyncIterator[None]:
    """Open the sender, and end the workers whatever happens."""
    try:
        async with load.app:
            yield
            await load.stop()
    finally:
        workers.close()
