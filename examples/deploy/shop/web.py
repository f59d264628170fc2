"""The web app: it takes orders, and tells an autoscaler how many slots the workers should have."""

from __future__ import annotations

import os

from fastapi import FastAPI, HTTPException

from asyncjobs import UnknownJob
from asyncjobs.admin import admin_api, basic_auth

from .jobs import app, charge

web = FastAPI(lifespan=app.lifespan)


@web.get("/livez")
async def is_live() -> dict[str, bool]:
    """Answer while the loop turns, whatever Redis does: a new process would not bring it back."""
    return {"is_live": True}


@web.post("/orders/{order}", status_code=202)
async def buy(order: int, address: str) -> dict[str, str]:
    """Send the job that charges an order; a request that is sent again finds the same job."""
    handle = await charge.with_options(job_id=f"order-{order}").delay(order, address)
    return {"job": handle.id}


@web.get("/orders/{order}")
async def look_up(order: int) -> dict[str, str]:
    """Tell the state of an order's job."""
    try:
        job = await app.find_job(f"order-{order}", queue="payments")
    except UnknownJob:
        raise HTTPException(404, "there is no such order, or its job ended more than an hour ago") from None
    return {"state": job.state.value}


autoscaler = {os.environ["SCALE_USER"]: os.environ["SCALE_PASSWORD"]}
web.mount("/api/admin", admin_api(app, authorize=basic_auth(autoscaler, "viewer")))
