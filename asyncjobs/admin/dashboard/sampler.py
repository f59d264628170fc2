"""Reads what pages show once for all who look at them, and keeps it for when the broker is away."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from asyncjobs.errors import AppNotOpen, BrokerRefused, BrokerUnavailable

__all__ = ["SHARED_S", "Sample", "Sampler"]

SHARED_S = 2.0
"""For how many seconds what was read for one viewer serves others who look at the same page."""

_MAX_SAMPLES = 64
_MAX_WAIT_S = 2.0
"""How long a broker that doesn't answer is waited for where there is an older sample."""

_AWAY = (AppNotOpen, BrokerRefused, BrokerUnavailable)


class Sample(NamedTuple):
    """What a page shows."""

    found: Mapping[str, Any]
    """What its template takes."""
    at: datetime
    """When it was read, in UTC by this server's clock."""
    read_s: float
    """The same by the clock that never jumps, in seconds."""
    is_stale: bool = False
    """Whether it is an older one, since the broker is away."""


class Sampler:
    """The samples of one dashboard. Nothing is read unless somebody asks."""

    def __init__(self) -> None:
        self._samples: OrderedDict[Hashable, Sample] = OrderedDict()
        self._loading: dict[Hashable, asyncio.Task[Sample]] = {}

    async def read(
        self, key: Hashable, load: Callable[[], Awaitable[Mapping[str, Any]]], max_age_s: float = 0.0
    ) -> Sample:
        """Return what ``load`` returns, or has returned at most ``max_age_s`` ago.

        Where the broker is away, the last sample is returned as a stale one.

        Args:
            key: What is read, and for whom: a caller with other permissions has another key.
            load: Reads it.
            max_age_s: How old a sample may be, in seconds; with 0, it is read after this call.
        """
        kept = self._samples.get(key)
        if kept is not None and time.monotonic() - kept.read_s < max_age_s:
            return kept
        task = self._loading.get(key) if max_age_s else None
        if task is None:
            task = asyncio.ensure_future(self._load(key, load))
            self._loading[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        await asyncio.wait([task], timeout=None if kept is None else _MAX_WAIT_S)
        if kept is None:
            return task.result()
        try:
            if task.done():
                return task.result()
        except _AWAY:
            pass
        # Not to be taken for a fresh one by those who ask after this caller.
        self._samples[key] = kept._replace(read_s=float("-inf"))
        return kept._replace(is_stale=True)

    def clear(self) -> None:
        """Let each next call read anew: something was changed. What was read is kept for when the broker is away."""
        for key, sample in self._samples.items():
            self._samples[key] = sample._replace(read_s=float("-inf"))

    async def _load(self, key: Hashable, load: Callable[[], Awaitable[Mapping[str, Any]]]) -> Sample:
        began_s = time.monotonic()
        sample = Sample(await load(), datetime.now(UTC), began_s)
        self._samples[key] = sample
        self._samples.move_to_end(key)
        if len(self._samples) > _MAX_SAMPLES:
            self._samples.popitem(last=False)
        return sample

    def _forget(self, key: Hashable, task: asyncio.Task[Sample]) -> None:
        if self._loading.get(key) is task:
            del self._loading[key]
        if not task.cancelled():
            # Read here too, since a task whose viewer has gone is awaited by nobody.
            task.exception()
