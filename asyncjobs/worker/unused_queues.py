"""Warns of queues that a worker serves and that may be misspelt: no job names them, and nothing was ever in them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from asyncjobs.errors import closest
from asyncjobs.ports import Broker, QueueFigures

__all__ = ["warn_of_unused_queues"]

_log = logging.getLogger("asyncjobs.worker")


async def warn_of_unused_queues(broker: Broker, queues: Sequence[str], named: Collection[str]) -> None:
    """Log a warning for each of ``queues`` that nothing uses.

    Args:
        broker: The broker.
        queues: The queues that the worker serves.
        named: The queues that the program's jobs name; a program without jobs has no other spelling to compare with.
    """
    strange = [queue for queue in queues if queue not in named] if named else []
    if not strange:
        return
    unused = [one.name for one in await broker.overview(strange) if not _was_used(one)]
    known = {*named, *await broker.queues()} - {*strange} if unused else set()
    for queue in unused:
        _log.warning(
            "the worker serves the queue %r, which no job of this program names, and which nothing was sent to.%s",
            queue,
            closest(queue, sorted(known)),
        )


def _was_used(one: QueueFigures) -> bool:
    holds = (*one.ready, one.parked, one.scheduled, one.running, one.dead)
    return any((*holds, one.succeeded, one.failed, one.cancelled))
