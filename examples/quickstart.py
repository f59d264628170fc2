"""10,000 jobs sent, run and counted: `python examples/quickstart.py redis://localhost:6379/0`.

Without an address it takes the one of the environment (ASYNCJOBS_URL, or REDIS_HOST and REDIS_PORT), and without that
redis://localhost:6379/0. `memory://` needs no server.
"""

from __future__ import annotations

import asyncio
import sys
import time

from asyncjobs import App, AsyncJobsError, RetryPolicy, Worker, current_job, job

JOBS = 10_000


@job(queue="emails", priority="high", retry=RetryPolicy(max_retries=5))
async def send_email(to: str, subject: str, body: str) -> str:
    return f"sent to {to} at attempt {current_job().attempt}"


async def main(app: App) -> None:
    async with app:
        before = await app.stats()

        began = time.perf_counter()
        handles = await app.enqueue_many(
            [send_email.request(f"user{n}@example.com", "Welcome!", "Thanks for signing up.") for n in range(JOBS)]
        )
        print(f"sent {len(handles):,} jobs in {time.perf_counter() - began:.2f} s")

        # A worker in this process that ends with the last job; `asyncjobs worker` runs one on its own.
        began = time.perf_counter()
        await Worker(app).run_until_empty()
        print(f"ran them in {time.perf_counter() - began:.2f} s")
        print(f"the last one's result: {await handles[-1].result(timeout=10)}")

        after = await app.stats()
        completed = after.total_succeeded - before.total_succeeded
        failed = after.total_failed - before.total_failed
        print(f"completed {completed:,} jobs, failed {failed:,}, counted by {app.settings.server}")
    if completed < JOBS or failed:
        raise SystemExit(f"expected {JOBS:,} completed and none failed")


def make_app() -> App:
    """Keys and results of its own, which are gone a minute later but for a few counters."""
    if len(sys.argv) > 1:
        return App(sys.argv[1], prefix="quickstart", result_ttl=60)
    return App(prefix="quickstart", result_ttl=60)


if __name__ == "__main__":
    try:
        asyncio.run(main(make_app()))
    except AsyncJobsError as error:
        raise SystemExit(f"quickstart: {error}") from None
