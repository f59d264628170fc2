"""One measurement in a process of its own, so that its CPU time is its own: prints a line of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import time
from collections.abc import Coroutine
from typing import Any

from asyncjobs import Worker
from asyncjobs.jobs.ids import new_id
from benchmarks import product
from benchmarks.bare_loop import Bare

ARGUMENTS = ("user@example.com", "Welcome", "Thanks for signing up")


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(main)
    return asyncio.run(main)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measured(work: Coroutine[Any, Any, Any], jobs: int) -> dict[str, float]:
    began, used = time.perf_counter(), cpu()
    await work
    took = time.perf_counter() - began
    return {"rate": jobs / took, "cpu_us": (cpu() - used) / jobs * 1e6}


async def bare(what: str, port: int, jobs: int) -> dict[str, float]:
    loop = Bare(port)
    ids = [new_id() for _ in range(jobs)]
    if what == "drain":
        found = await measured(loop.drain(jobs), jobs)
    elif what == "bulk":

        async def bulk() -> None:
            for start in range(0, jobs, 1000):
                await loop.enqueue(ids[start : start + 1000])

        found = await measured(bulk(), jobs)
    elif what == "single":

        async def single() -> None:
            for job_id in ids:
                await loop.enqueue([job_id])

        found = await measured(single(), jobs)
    else:

        async def concurrent() -> None:
            for start in range(0, jobs, 100):
                await asyncio.gather(*(loop.enqueue([job_id]) for job_id in ids[start : start + 100]))

        found = await measured(concurrent(), jobs)
    await loop.close()
    return found


async def ours(what: str, port: int, jobs: int) -> dict[str, float]:
    app = product.make_app(port)
    noop = app.registry.get("noop")
    if what == "drain":
        return await measured(product.drain(app, jobs), jobs)
    async with app:
        if what == "bulk":

            async def bulk() -> None:
                await app.enqueue_many([noop.request(*ARGUMENTS) for _ in range(jobs)])

            return await measured(bulk(), jobs)
        if what == "single":

            async def single() -> None:
                for _ in range(jobs):
                    await noop.delay(*ARGUMENTS)

            return await measured(single(), jobs)

        async def concurrent() -> None:
            for _ in range(0, jobs, 100):
                await asyncio.gather(*(noop.delay(*ARGUMENTS) for _ in range(100)))

        return await measured(concurrent(), jobs)


async def serve(who: str, port: int) -> None:
    """Serve the queue ``wake`` until standard input ends, then print when each job began."""
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    if who == "bare":
        lines: list[str] = []
        loop = Bare(port, "wake")
        serving = asyncio.ensure_future(loop.serve(lines))
        print("ready", flush=True)
        await stop
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await loop.close()
    else:
        lines = product.STARTS
        app = product.make_app(port)
        async with app, Worker(app, queues=["wake"]).running():
            print("ready", flush=True)
            await stop
    print("\n".join(lines))


if __name__ == "__main__":
    who, what, port, jobs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if what == "serve":
        run(serve(who, port))
    else:
        print(json.dumps(run(bare(what, port, jobs) if who == "bare" else ours(what, port, jobs))))
