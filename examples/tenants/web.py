"""The web app: ``pip install uvicorn``, then ``uvicorn web:web`` in this folder, with the variables of ``jobs.py``."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.requests import HTTPConnection

from asyncjobs import current_tenant
from asyncjobs.tenancy import TenantMiddleware
from jobs import app, tenants, write_invoice

# Whose token it is decides, not what a client says of itself. A real app would look it up, or check its signature.
TOKENS = {"token-of-acme": "acme", "token-of-globex": "globex", "token-of-initech": "initech"}


def tenant_of(scope: MutableMapping[str, Any]) -> str | None:
    return TOKENS.get(HTTPConnection(scope).headers.get("x-token", ""))


def signed_in() -> None:
    if current_tenant() is None:
        raise HTTPException(401, "the header x-token is missing, or nobody's")


web = FastAPI(lifespan=app.lifespan, dependencies=[Depends(signed_in)])
web.add_middleware(TenantMiddleware, tenant_of=tenant_of, resolver=tenants)


@web.post("/invoices", status_code=202)
async def order(customer: str, cents: int) -> dict[str, str]:
    handle = await write_invoice.delay(customer, cents)
    return {"job": handle.id}
