"""Sends and runs jobs of an app that encrypts, and looks at what its server keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from asyncjobs import App, Job, Worker
from tests.servers import Server

__all__ = ["MakeApp", "all_of", "request", "run", "run_one", "send"]

MakeApp = Callable[..., App]


def request(app: App, *args: Any, name: str = "charge", **kwargs: Any) -> Any:
    return app.registry.get(name).request(*args, **kwargs)


async def send(app: App, *args: Any, **kwargs: Any) -> Any:
    [handle] = await app.enqueue_many([request(app, *args, **kwargs)])
    return handle


async def run(app: App, *queues: str) -> None:
    await Worker(app, queues=queues or None).run_until_empty(signals=False)


async def run_one(app: App, *args: Any, **kwargs: Any) -> Job:
    """Send a job, run it, and return it."""
    handle = await send(app, *args, **kwargs)
    await run(app)
    return await app.find_job(handle.id)


def all_of(server: Server) -> bytes:
    """Return all that a server keeps, the names of keys too."""
    found: list[object] = []
    with contextlib.closing(server.client()) as client:
        for name in client.scan_iter(count=1_000):
            kind = client.type(name).decode()
            read: dict[str, Callable[[], object]] = {
                "string": lambda name=name: client.get(name),
                "list": lambda name=name: client.lrange(name, 0, -1),
                "hash": lambda name=name: client.hgetall(name),
                "set": lambda name=name: client.smembers(name),
                "zset": lambda name=name: client.zrange(name, 0, -1, withscores=True),
                "stream": lambda name=name: client.xrange(name),
            }
            found += [name, read[kind]()]
    return repr(found).encode()
