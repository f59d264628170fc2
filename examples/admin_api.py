"""A web app with the dashboard and the admin API: `pip install 'asyncjobs-redis[admin]' fastapi uvicorn`, then
`uvicorn admin_api:web` in this folder, with the password of the name `ops` in ADMIN_PASSWORD.

The dashboard is at http://localhost:8000/admin/jobs/ and the API beside it:

    curl -u ops:$ADMIN_PASSWORD localhost:8000/api/admin/jobs/stats
    curl -u ops:$ADMIN_PASSWORD 'localhost:8000/api/admin/jobs/failed?limit=10'
    curl -u ops:$ADMIN_PASSWORD -X POST localhost:8000/api/admin/jobs/01JD…/retry
"""

from __future__ import annotations

import os

from fastapi import FastAPI

from asyncjobs import App
from asyncjobs.admin import admin_api, basic_auth, dashboard

app = App()


@app.job(queue="payments")
async def charge(order: int) -> None:
    raise ConnectionError(f"order {order}: the bank does not answer")


web = FastAPI(lifespan=app.lifespan)


@web.post("/orders/{order}", status_code=202)
async def buy(order: int) -> dict[str, str]:
    handle = await charge.delay(order)
    return {"job": handle.id}


who = basic_auth({"ops": os.environ["ADMIN_PASSWORD"]})
web.mount("/api/admin", admin_api(app, authorize=who))
web.mount("/admin/jobs", dashboard(app, authorize=who, title="shop"))
