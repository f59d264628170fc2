"""10,000 jobs sent, run and counted: `python examples/quickstart.py redis://localhost:6379/0`.

Without an address it takes the one of the environment (ASYNCJOBS_URL, or REDIS_HOST and REDIS_PORT). `memory://` needs
no server.
"""

from __future__ import annotations

import asyncio
import sys
import time

from asyncjobs import App, RetryPolicy, current_job

app = App(sys.argv[1], prefix="quickstart") if len(sys.argv) > 1 else App(prefix="quickstart")

JOBS = 10_000


@app.job(queue="emails", priority="high", retry=RetryPolicy(max_retries=5))
async def send_email(to: str, subject: str, body: str) -> str:
    return f"sent to {to} at attempt {current_job().attempt}"


async def main() -> None:
    async with app, app.worker():
        before = (await app.queue_stats("emails")).succeeded_total
        began = time.perf_counter()
        handles = await app.enqueue_many(
            [send_email.request(f"user{number}@example.com", "Welcome!", "Thanks.") for number in range(JOBS)]
        )
        sent = time.perf_counter()
        print(f"sent {len(handles)} jobs in {sent - began:.2f} s")
        print(await handles[-1].result(timeout=60))
        for handle in handles:
            await app.wait_for_end(handle.id, queue=handle.queue, timeout=60)
        completed = (await app.queue_stats("emails")).succeeded_total - before
        print(f"completed {completed} jobs, counted by the broker")
    if completed != JOBS:
        raise SystemExit(f"expected {JOBS}")


if __name__ == "__main__":
    asyncio.run(main())
