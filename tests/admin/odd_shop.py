"""Dashboards of apps in whose every place a hostile text stands, for tests in a browser.

`python -m tests.admin.odd_shop PORT` serves one for each of `TEXTS`, at `/0`, `/1` and so on, and the admin API of the
first at `/api`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from asyncjobs import App
from asyncjobs.admin import Access, admin_api, dashboard
from tests.admin.sowing import HOSTILE, sown

__all__ = ["TEXTS"]

# The first two, what runs and what is wide, are looked at with every change.
TEXTS = ["".join(HOSTILE[:4]), "W" * 120, "".join(HOSTILE[4:11]), "漢字テスト" * 24]

apps = [App("memory://") for _ in TEXTS]


@asynccontextmanager
async def lifespan(web: Starlette) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for app, text in zip(apps, TEXTS, strict=True):
            await stack.enter_async_context(app)
            await stack.enter_async_context(sown(app, text))
        yield


def who(request: Request) -> Access:
    return Access(TEXTS[0], "admin")


web = Starlette(
    lifespan=lifespan,
    routes=[
        Mount("/api", admin_api(apps[0], authorize=who)),
        *(
            Mount(f"/{number}", dashboard(app, authorize=who, title=text, environment=text))
            for number, (app, text) in enumerate(zip(apps, TEXTS, strict=True))
        ),
    ],
)

if __name__ == "__main__":
    uvicorn.run(web, port=int(sys.argv[1]), log_level="critical")
