"""The worker that the fault scenarios torment: its handlers write a journal, one append-only file a process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from asyncjobs import App, Limit, RetryPolicy, Worker, current_job

__all__ = ["define"]


class Journal:
    """Lines of "event id attempt time", each written in one call, so that a kill leaves at most one cut off."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / f"journal-{os.getpid()}").open("ab", buffering=0)

    def note(self, event: str) -> None:
        job = current_job()
        self._file.write(f"{event} {job.id} {job.attempt} {time.time():.3f}\n".encode())


def define(app: App, journal: Journal | None = None, *, renamed: bool = False) -> None:
    """Define the jobs of the scenarios; the sender defines them too, without a journal.

    ``renamed``: the code after a deploy that has given ``work`` another name.
    """

    def note(event: str) -> None:
        assert journal is not None, "only a worker runs handlers"
        journal.note(event)

    names = {"name": "toil", "aliases": ("work",)} if renamed else {"name": "work", "aliases": ()}

    @app.job(retry=RetryPolicy(max_retries=20, initial=0.05, cap=0.5), **names)  # type: ignore[call-overload, untyped-decorator]
    async def work(number: int, seconds: float) -> int:
        note("start")
        await asyncio.sleep(seconds)
        note("end")
        return number

    @app.job(retry=RetryPolicy(max_retries=2, initial=0.05))
    async def fail(number: int) -> None:
        note("start")
        raise ValueError(f"job {number} fails for ever")

    @app.job
    def threaded(number: int, seconds: float) -> int:
        note("start")
        time.sleep(seconds)
        note("end")
        return number

    @app.job
    async def block(seconds: float) -> None:
        note("start")
        time.sleep(seconds)
        note("end")

    @app.job(limits=Limit("key", running=3).by("key"))
    async def keyed(key: int, seconds: float) -> None:
        note("start")
        await asyncio.sleep(seconds)
        note("end")

    @app.job
    async def tick() -> None:
        note("start")
        note("end")

    @app.job
    async def poison() -> None:
        note("start")
        os._exit(9)


async def main(url: str, folder: str, lease: float, concurrency: int) -> None:
    app = App(url, lease=lease, shutdown_timeout=10, poll_interval=0.5)
    define(app, Journal(Path(folder)), renamed=bool(os.environ.get("RENAMED")))
    if crew := int(os.environ.get("CREW", "0")):
        await asyncio.gather(*(Worker(app, concurrency=concurrency).run(signals=False) for _ in range(crew)))
    # Started while Redis is away, a worker tries again, as its supervisor would have it do.
    while True:
        try:
            await Worker(app, concurrency=concurrency).run()
            return
        except ConnectionError:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format=f"%(asctime)s {os.getpid()} %(message)s")
    if os.environ.get("SHIFTED_CLOCK"):
        # A machine whose clock is an hour off.
        real_ns, real = time.time_ns, time.time
        time.time_ns = lambda: real_ns() + 3_600_000_000_000
        time.time = lambda: real() + 3600
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
