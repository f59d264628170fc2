"""A shop's jobs. In this folder, run a worker beside the program that sends them.

First `asyncjobs worker shop:app`, then in another terminal `python shop.py`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from asyncjobs import App, RetryPolicy, current_job, job

app = App()  # where ASYNCJOBS_URL or REDIS_HOST says; by default redis://localhost:6379/0


@app.job(queue="emails", priority="high", retry=RetryPolicy(max_retries=5))
async def send_email(to: str, subject: str, body: str) -> str:
    return f"sent to {to} at attempt {current_job().attempt}"


@job  # a library's job: bound to the app that runs
def thumbnail(path: str, size: int) -> str:  # a plain function runs in a thread
    return f"{path} at {size} px"


async def main() -> None:
    async with app:
        handle = await send_email.delay("user@example.com", subject="Welcome!", body="Thanks for signing up.")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        report = await send_email.schedule_at(tomorrow, "boss@example.com", "Report", "…")
        picture = await thumbnail.with_options(priority="low").delay("cat.png", 640)
        await app.enqueue_many([send_email.request(f"{n}@example.com", "Hi", "…") for n in range(1_000)])
        print(await handle.result(timeout=10))
        print(await picture.result(timeout=10))
        print(f"the report is {(await report.status()).value}; cancelled: {await report.cancel('there is no report')}")


if __name__ == "__main__":
    asyncio.run(main())
