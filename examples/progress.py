"""A report that tells how far it is, and a reader that comes back: `python examples/progress.py`.

It needs no server.
"""

from __future__ import annotations

import asyncio

from asyncjobs import App, JobEvent, RetryPolicy, current_job

app = App("memory://")


@app.job(queue="reports", result_ttl=600, retry=RetryPolicy(initial=0.1))
async def build_report(customer: str, pages: int) -> str:
    job = current_job()
    for page in range(1, pages + 1):
        await asyncio.sleep(0.05)
        if page == 3 and job.attempt == 1:
            raise ConnectionError("the archive does not answer")
        job.progress(page, pages, f"page {page}")
    job.emit({"preview": f"/previews/{customer}.png"})
    job.log.info("%d pages", pages)
    return f"/reports/{customer}.pdf"


def shown(event: JobEvent) -> str:
    progress = event.progress
    if progress is not None:
        told = f"{progress.done} of {progress.total}, {progress.note}"
    else:
        told = f"{event.kind} {event.data}"
    return f"{event.number} (attempt {event.attempt}): {told}"


async def main() -> None:
    async with app, app.worker():
        job_id = (await build_report.delay("acme", 4)).id

        # A browser reads for a while, and is gone …
        last = 0
        async for event in app.handle(job_id, queue="reports").events():
            print(shown(event))
            last = event.number
            if last == 2:
                break

        # … and comes back: it goes on after the last event that it has seen.
        handle = app.handle(job_id, queue="reports")
        async for event in handle.events(after=last):
            print(shown(event))
        print(await handle.result(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
