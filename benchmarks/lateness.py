"""How late 1,000 jobs start that are all scheduled for the same moment, on a worker that is idle until then.

``python -m benchmarks.lateness [jobs] [rounds]``; the worker is a process of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

from asyncjobs import App, Worker
from tests.servers import Server, server

__all__ = ["main"]

_AHEAD_S = 3.0


def make_app(port: int) -> App:
    """Return an app whose one job returns when it was started, in Unix seconds."""
    app = App(f"redis://127.0.0.1:{port}/0")

    @app.job
    async def note() -> float:
        return time.time()

    return app


async def measure(running: Server, jobs: int) -> list[float]:
    """Return the lateness of each start in ms, the earliest first."""
    app = make_app(running.port)
    note = app.registry.get("note")
    async with app:
        moment = datetime.now(UTC) + timedelta(seconds=_AHEAD_S)
        handles = [await note.schedule_at(moment) for _ in range(jobs)]
        starts = await asyncio.gather(*(handle.result(60) for handle in handles))
    return sorted((start - moment.timestamp()) * 1000 for start in starts)


async def work(port: int) -> None:
    """Be the worker."""
    await Worker(make_app(port)).run()


def main() -> None:
    """Measure and print."""
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with server() as running:
        worker = subprocess.Popen([sys.executable, "-m", "benchmarks.lateness", "worker", str(running.port)])
        try:
            for _ in range(rounds):
                late = asyncio.run(measure(running, jobs))
                first, last = late[0], late[-1]
                p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99) - 1]
                print(f"{jobs} jobs: first {first:.1f} ms, p50 {p50:.1f} ms, p99 {p99:.1f} ms, last {last:.1f} ms")
        finally:
            worker.terminate()
            worker.wait(30)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        asyncio.run(work(int(sys.argv[2])))
    else:
        main()
