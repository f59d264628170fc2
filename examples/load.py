"""What waits, who works, and how many slots are wanted: `python examples/load.py`, without a server.

A queue gets more jobs than its one worker can run, then a second worker comes. The numbers are those of `GET /scale` of
the admin API, which an autoscaler reads.
"""

from __future__ import annotations

import asyncio

from asyncjobs import App, Load

app = App("memory://", poll_interval=0.05)


@app.job(queue="thumbnails")
async def thumbnail(path: str) -> None:
    await asyncio.sleep(0.05)


def told(load: Load) -> str:
    return f"{load.backlog} wait, {load.slots} slots, {load.wanted_slots} wanted"


async def main() -> None:
    async with app:
        handles = await app.enqueue_many([thumbnail.request(f"{number}.png") for number in range(60)])
        print(f"no worker:   {told(await app.load(['thumbnails'], target=30))}")
        async with app.worker(queues=["thumbnails"], concurrency=2):
            await asyncio.sleep(0.5)
            print(f"one worker:  {told(await app.load(['thumbnails'], target=30))}")
            async with app.worker(queues=["thumbnails"], concurrency=4):
                await asyncio.sleep(0.3)
                print(f"two workers: {told(await app.load(['thumbnails'], target=30))}")
                await handles[-1].result(timeout=30)
        [name] = await app.names()
        print(f"{name.name}: {name.calls} calls, 95 % ran at most {name.p95_run_ms:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
