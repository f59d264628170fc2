"""The shop as a web app, with FastAPI."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException

from asyncjobs import BrokerUnavailable
from orders import app, place_order

__all__ = ["web"]

web = FastAPI(lifespan=app.lifespan)


@web.post("/orders/{order}", status_code=202)
async def order(order: int, address: str) -> dict[str, int]:
    try:
        await place_order(address, order)
    except BrokerUnavailable:
        raise HTTPException(503, "try again later") from None
    return {"order": order}
