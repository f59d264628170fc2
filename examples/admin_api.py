"""A web app with the admin API: `pip install 'asyncjobs[admin]' fastapi uvicorn`, then `uvicorn admin_api:web` here.

ADMIN_PASSWORD is the password of the name `ops`:

    curl -u ops:$ADMIN_PASSWORD localhost:8000/api/admin/jobs/stats
    curl -u ops:$ADMIN_PASSWORD 'localhost:8000/api/admin/jobs/failed?limit=10'
    curl -u ops:$ADMIN_PASSWORD -X POST localhost:8000/api/admin/jobs/01JD…/retry
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from asyncjobs import App
from asyncjobs.admin import admin_api, basic_auth

app = App()


@app.job(queue="payments")
async def charge(order: int) -> None:
    raise ConnectionError(f"order {order}: the bank does not answer")


web = FastAPI(lifespan=app.lifespan)


@web.post("/orders/{order}", status_code=202)
async def buy(order: int) -> dict[str, str]:
    handle = await charge.delay(order)
    return {"job": handle.id}


web.mount("/api/admin", admin_api(app, authorize=basic_auth({"ops": os.environ["ADMIN_PASSWORD"]})))
