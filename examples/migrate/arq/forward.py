"""What takes the place of the old worker while its queue drains: each job goes on in asyncjobs, under the same id.

`arq forward.WorkerSettings`
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import Any

from arq.connections import RedisSettings
from arq.worker import Function, func

from after import app, charge, import_catalogue, send_email, ship, thumbnail
from asyncjobs import JobDefinition


def forward(job: JobDefinition[..., Any]) -> Function:
    async def old(ctx: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        await job.with_options(job_id=ctx["job_id"]).delay(*args, **kwargs)

    return func(old, name=job.name, max_tries=1_000)


async def startup(ctx: dict[str, Any]) -> None:
    ctx["opened"] = AsyncExitStack()
    await ctx["opened"].enter_async_context(app)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["opened"].aclose()


class WorkerSettings:
    functions = [forward(job) for job in (send_email, charge, ship, thumbnail, import_catalogue)]
    redis_settings = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
    on_startup = startup
    on_shutdown = shutdown
