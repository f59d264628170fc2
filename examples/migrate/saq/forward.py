"""What takes the place of the old worker while its queue drains: each job goes on in asyncjobs, under the same key.

`saq forward.settings`
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from saq import Queue

from after import app, charge, import_catalogue, send_email, ship, thumbnail
from asyncjobs import JobDefinition


def forward(job: JobDefinition[..., Any]) -> tuple[str, Callable[..., Awaitable[None]]]:
    async def old(ctx: dict[str, Any], **kwargs: Any) -> None:
        await job.with_options(job_id=ctx["job"].key).delay(**kwargs)

    return job.name, old


async def startup(ctx: dict[str, Any]) -> None:
    ctx["opened"] = AsyncExitStack()
    await ctx["opened"].enter_async_context(app)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["opened"].aclose()


settings = {
    "queue": Queue.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0")),
    "functions": [forward(job) for job in (send_email, charge, ship, thumbnail, import_catalogue)],
    "startup": startup,
    "shutdown": shutdown,
}
