"""One server for the shops of tests in a browser, which opens each when it is asked for.

`python -m tests.admin.street PORT` serves it: `POST /open/shop` and `POST /open/dead_shop` answer with the number of a
new shop, which is below `/1`, say, until `POST /close/1`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from tests.admin.dead_shop import dead_shop
from tests.admin.shop import shop

KINDS = {"shop": shop, "dead_shop": dead_shop}

numbers = itertools.count(1)
shops: dict[int, tuple[asyncio.Event, asyncio.Task[None]]] = {}


async def keep_open(kind: str, opened: asyncio.Future[Starlette], closing: asyncio.Event) -> None:
    """Open a shop, and close it in the same task."""
    async with KINDS[kind]() as inside:
        opened.set_result(inside)
        await closing.wait()


async def open_one(request: Request) -> Response:
    number, closing = next(numbers), asyncio.Event()
    opened: asyncio.Future[Starlette] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(keep_open(request.path_params["kind"], opened, closing))
    await asyncio.wait([opened, task], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    shops[number] = closing, task
    web.router.routes.append(Mount(f"/{number}", opened.result()))
    return PlainTextResponse(str(number))


async def close_one(request: Request) -> Response:
    closing, task = shops.pop(int(request.path_params["number"]))
    closing.set()
    await task
    return PlainTextResponse("closed")


async def is_there(request: Request) -> Response:
    return PlainTextResponse("a street of shops")


web = Starlette(
    routes=[
        Route("/", is_there),
        Route("/open/{kind}", open_one, methods=["POST"]),
        Route("/close/{number:int}", close_one, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(web, port=int(sys.argv[1]), log_level=os.environ.get("LOG_LEVEL", "critical"))
