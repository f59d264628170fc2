"""Keeps a background duty running: one that fails is started again with backoff."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

__all__ = ["keep_running"]

_log = logging.getLogger("asyncjobs.worker")

_BACKOFF_S = (0.1, 0.5, 1.0, 5.0)


async def keep_running(name: str, duty: Callable[[], Awaitable[None]]) -> None:
    """Run ``duty`` until it returns; where it raises, log that and start it anew: a worker never ends by accident."""
    failures = 0
    while True:
        try:
            await duty()
        except Exception:
            pause = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            _log.exception("the worker's %s failed and starts again in %s s", name, pause)
            failures += 1
            await asyncio.sleep(pause)
        else:
            return
