"""The same measurements with asyncjobs itself."""

from __future__ import annotations

import asyncio
import time

from asyncjobs import App, Worker

__all__ = ["make_app"]

STARTS: list[str] = []


def make_app(port: int) -> App:
    """Return an app with its jobs, at default settings."""
    app = App(f"redis://127.0.0.1:{port}/0")

    @app.job
    async def noop(to: str, subject: str, body: str) -> None: ...

    @app.job(queue="wake")
    async def wake() -> None:
        from asyncjobs import current_job

        STARTS.append(f"{current_job().id} {time.time_ns()}")

    return app


async def drain(app: App, jobs: int) -> None:
    """Run a worker until ``jobs`` jobs have succeeded."""
    worker = Worker(app, queues=["default"], concurrency=100)
    async with app:

        async def watch() -> None:
            while (await app.queue_stats("default")).succeeded_total < jobs:
                await asyncio.sleep(0.02)
            worker.stop()

        watching = asyncio.create_task(watch())
        await worker.run(signals=False)
        await watching
