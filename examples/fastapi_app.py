"""A web app that sends jobs: `pip install fastapi uvicorn`, then `uvicorn fastapi_app:web` in this folder.

The jobs run in workers beside it (`asyncjobs worker fastapi_app:app`), or with WORKER_INSIDE=1 in the web process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from asyncjobs import App, UnknownJob

app = App()  # where ASYNCJOBS_URL or REDIS_HOST says; by default redis://localhost:6379/0


@app.job(queue="emails")
async def send_welcome(address: str) -> str:
    await asyncio.sleep(0.1)
    return f"welcomed {address}"


@asynccontextmanager
async def with_worker(web: FastAPI) -> AsyncIterator[None]:
    async with app, app.worker(concurrency=10):
        yield


web = FastAPI(lifespan=with_worker if os.environ.get("WORKER_INSIDE") else app.lifespan)


@web.post("/signups", status_code=202)
async def sign_up(address: str) -> dict[str, str]:
    handle = await send_welcome.delay(address)
    return {"job": handle.id}


@web.get("/signups/{job_id}")
async def look_up(job_id: str) -> dict[str, str]:
    try:
        job = await app.find_job(job_id, queue="emails")
    except UnknownJob:
        raise HTTPException(404, "there is no such job, or it ended more than an hour ago") from None
    return {"state": job.state.value}
