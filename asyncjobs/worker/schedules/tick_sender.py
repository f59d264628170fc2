"""Fires the due ticks of schedules through the middleware of sending."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from asyncjobs.core.schedule import Due, Schedule
from asyncjobs.errors import AsyncJobsError, BrokerError, ConfigurationError
from asyncjobs.jobs.handle import JobHandle
from asyncjobs.jobs.request import JobRequest
from asyncjobs.jobs.ticks import request_of
from asyncjobs.middleware.chain import sending
from asyncjobs.ports import FireReply, Firing
from asyncjobs.worker.host import WorkerHost

__all__ = ["DueTicks", "TickSender"]

_log = logging.getLogger("asyncjobs.worker")

# A layer that takes longer over one tick has failed: the other schedules of the worker wait meanwhile.
_MAX_LAYERS_S = 10.0


class DueTicks(NamedTuple):
    """The due ticks of one schedule."""

    schedule: Schedule
    ticks: Due
    firing: Firing
    """Fires all of the ticks at once, without middleware."""


class TickSender:
    """Fires ticks through the layers of ``host``: each tick is a request of its own, fired by the innermost send.

    So a layer that raises leaves the tick due; and headers that a layer adds count only if this worker fires first.
    """

    def __init__(self, host: WorkerHost) -> None:
        self._host = host

    async def fire(self, queue: str, due: DueTicks) -> FireReply | None:
        """Fire one schedule; return ``None`` if a layer has kept it from firing. Raises ``BrokerError``."""
        fire = due.ticks.fire
        if not fire:
            return await self._host.connection.broker.fire(queue, [due.firing])
        reply = None
        expected_ms = due.firing.expected_ms
        for tick, after_ms in zip(fire, [*fire[1:], due.firing.next_ms], strict=True):
            firing = msgspec.structs.replace(
                due.firing, expected_ms=expected_ms, next_ms=after_ms, last_ms=tick, jobs=[]
            )
            reply = await self._send(queue, due.schedule, tick, firing)
            if reply is None or not reply.fired[0]:
                break
            expected_ms = after_ms
        return reply

    async def _send(self, queue: str, schedule: Schedule, tick: int, firing: Firing) -> FireReply | None:
        replies: list[FireReply] = []
        failures: list[BrokerError] = []

        async def send(requests: Sequence[JobRequest[Any]]) -> list[JobHandle[Any]]:
            if len(requests) != 1:
                raise ConfigurationError(f"{len(requests)} requests were sent on for one tick of a schedule; send one")
            job = self._host.sender.prepare(_in_queue(requests[0], queue), sent_at_ms=tick)
            try:
                reply = await self._host.connection.broker.fire(queue, [msgspec.structs.replace(firing, jobs=[job])])
            except BrokerError as error:
                failures.append(error)
                raise
            replies.append(reply)
            handle: JobHandle[Any] = JobHandle(self._host.lookup, queue, job.id)
            handle.is_new = reply.fired == [True] and reply.skipped == [False]
            return [handle]

        try:
            request = request_of(schedule, queue, tick, encryption=self._host.encryption)
            async with asyncio.timeout(_MAX_LAYERS_S):
                await (sending(self._host.middleware, send) or send)([request])
            if not replies:
                raise ConfigurationError("no layer raised an error, but one of them has not called send")
        except Exception as error:
            if error in failures:
                raise
            _log.error(
                "the middleware of sending failed for a tick of schedule %s in queue %s: %s: %s",
                schedule.id,
                queue,
                type(error).__name__,
                error,
                exc_info=None if isinstance(error, AsyncJobsError) else error,
            )
        # The reply of the send that fired: a layer may have sent again, or have failed after sending.
        return next((reply for reply in replies if reply.fired[0]), replies[-1] if replies else None)


def _in_queue(request: JobRequest[Any], queue: str) -> JobRequest[Any]:
    """Return ``request`` with the queue of its schedule, the only one where the tick can be fired."""
    return msgspec.structs.replace(request, options=msgspec.structs.replace(request.options, queue=queue))
