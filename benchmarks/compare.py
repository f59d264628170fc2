"""`python -m benchmarks.compare OTHER`: this checkout beside another one, in one run.

Each figure is taken from both in turn, on the same server, each process pinned to a processor of its own; the ratio is
the median over the pairs. What is measured uses the public API alone, so that any two versions can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ARGUMENTS = ("user@example.com", "Welcome", "Thanks for signing up")
FIGURES = {
    "drain": 20_000,
    "bulk": 20_000,
    "concurrent": 10_000,
    "single": 4_000,
    "wake p50": 400,
    "wake p99": 400,
    "memory drain": 20_000,
    "delay": 20_000,
    "delay, one middleware": 20_000,
}
#: Figures that are a time, of which less is better; of the others, rates, more.
TIMES = ("wake p50", "wake p99")


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)


class Program:
    """A program on the asyncjobs that this process imports, which measures itself."""

    def __init__(self, what: str, url: str, jobs: int) -> None:
        from asyncjobs import App, Middleware

        class Layer(Middleware):
            async def enqueue(self, requests: Any, send: Any) -> Any:
                return await send(requests)

        is_memory = what == "memory drain" or what.startswith("delay")
        self.app = App("memory://" if is_memory else url, middleware=[Layer()] if what.endswith("middleware") else [])
        self.what = what
        self.jobs = jobs
        self.starts: list[int] = []

        @self.app.job
        async def noop(to: str, subject: str, body: str) -> None: ...

        @self.app.job(queue="wake")
        async def wake() -> None:
            self.starts.append(time.perf_counter_ns())

        self.noop: Any = noop
        self.wake: Any = wake

    async def measure(self) -> float:
        """Return the figure: jobs a second, or milliseconds."""
        from asyncjobs import Worker

        async with self.app:
            if self.what in TIMES:
                async with Worker(self.app, queues=["wake"]).running():
                    took = await self.wakes()
                return took[int(len(took) * (0.5 if self.what == "wake p50" else 0.99))]
            if self.what.endswith("drain"):
                await self.bulk()
                return await self.rate(Worker(self.app, queues=["default"], concurrency=100).run_until_empty())
            return await self.rate({"bulk": self.bulk, "concurrent": self.concurrent}.get(self.what, self.single)())

    async def rate(self, work: Coroutine[Any, Any, Any]) -> float:
        began = time.perf_counter()
        await work
        return self.jobs / (time.perf_counter() - began)

    async def bulk(self) -> None:
        await self.app.enqueue_many([self.noop.request(*ARGUMENTS) for _ in range(self.jobs)])

    async def single(self) -> None:
        for _ in range(self.jobs):
            await self.noop.delay(*ARGUMENTS)

    async def concurrent(self) -> None:
        for _ in range(0, self.jobs, 100):
            await asyncio.gather(*(self.noop.delay(*ARGUMENTS) for _ in range(100)))

    async def wakes(self) -> list[float]:
        took = []
        for number in range(self.jobs):
            await asyncio.sleep(0.005)
            began = time.perf_counter_ns()
            await self.wake.delay()
            while len(self.starts) <= number:
                await asyncio.sleep(0)
            took.append((self.starts[number] - began) / 1e6)
        return sorted(took)


def child(checkout: Path, what: str, url: str, jobs: int) -> dict[str, float]:
    """Measure in a process of its own that imports asyncjobs from ``checkout``."""
    arguments = [sys.executable, str(Path(__file__).resolve()), "--measure", what, url, str(jobs)]
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(checkout)}
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Compare, and print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(FIGURES), action="append")
    options = parser.parse_args()
    from tests.servers import Server, find_binary

    cores = sorted(os.sched_getaffinity(0))
    server = Server(find_binary())
    client = server.client()
    os.sched_setaffinity(client.info()["process_id"], {cores[0]})
    os.sched_setaffinity(0, {cores[-1]})
    print(f"{'figure':>24}{'this':>14}{'other':>14}{'ratio':>9}{'CPU us a job':>15}{'other':>9}{'ratio':>9}")
    try:
        for what, jobs in FIGURES.items():
            if options.only and what not in options.only:
                continue
            pairs = []
            for number in range(options.rounds + 1):
                pair = {}
                for checkout in (ROOT, options.other.resolve())[:: 1 if number % 2 else -1]:
                    client.execute_command("FLUSHALL", "SYNC")
                    pair[checkout] = child(checkout, what, server.url, jobs)
                # The first pair only warms the machine.
                if number:
                    pairs.append((pair[ROOT], pair[options.other.resolve()]))
            cells = []
            for name in ("figure", "cpu_us"):
                this, other = (statistics.median(pair[side][name] for pair in pairs) for side in (0, 1))
                ratio = statistics.median(pair[0][name] / pair[1][name] for pair in pairs)
                cells += [f"{this:,.2f}", f"{other:,.2f}", f"{ratio:.3f}"]
            widths = (14, 14, 9, 15, 9, 9)
            print(f"{what:>24}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)))
    finally:
        client.close()
        server.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        jobs = int(sys.argv[4])
        figure = run(Program(sys.argv[2], sys.argv[3], jobs).measure())
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"figure": figure, "cpu_us": (used.ru_utime + used.ru_stime) / jobs * 1e6}))
    else:
        main()
