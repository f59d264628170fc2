"""Moving a waiting job to another queue. On a Cluster the two are on different servers, so it takes several steps."""

from __future__ import annotations

from typing import Literal

from asyncjobs.app.sender import Sender
from asyncjobs.core.job import Job
from asyncjobs.core.record.envelope import encode
from asyncjobs.core.retention import TOMBSTONE_MS
from asyncjobs.errors import BrokerError, EnvelopeError
from asyncjobs.ports import Broker, EditReply, NewJob

__all__ = ["MoveReply", "move"]

MoveReply = EditReply | Literal["known"]
"""What became of a move: ``known`` if the other queue knows the id, else as of an edit."""

#: How long a job that is on its way to another queue is held back in its old one.
_HELD_BACK_MS = 60_000

#: What the reason of its cancellation in the old queue begins with.
_MOVED = "moved to queue"


async def move(
    broker: Broker,
    sender: Sender,
    job_id: str,
    queue: str,
    to_queue: str,
    *,
    priority: int | None,
    delay_ms: int | None,
    due_at_ms: int | None,
) -> MoveReply:
    """Move a waiting job to another queue. Until that queue has it, the job stays in its old one.

    Args:
        broker: The broker.
        sender: Sends the job to the other queue.
        job_id: The job's id.
        queue: Its queue.
        to_queue: The other queue.
        priority: Its new priority; ``None`` for its own.
        delay_ms: How long it waits from now.
        due_at_ms: When it is due, in place of ``delay_ms``; without both it keeps its time.

    Raises:
        EnvelopeError: The record of the job can't be read, or (``EncryptionError``) its arguments can't be decrypted.
        BrokerError: The broker failed on the way. If it can be told that the job did not arrive, the job waits in its
            old queue as before. Otherwise it is held back there for a minute, and may run in both.
    """
    job = await broker.find(queue, job_id)
    if job is None:
        return "unknown"
    _check_readable(job)
    envelope = sender.moved(job, to_queue)
    before = await broker.find(to_queue, job_id)
    if before is not None and not before.reason.startswith(_MOVED):
        return "known"
    location = await broker.locate(queue, job_id)
    # Held back, so that it doesn't start in both queues. If this process dies now, it starts in the old one, later.
    reply = await _hold_back(broker, job, _HELD_BACK_MS)
    if reply != "edited":
        return reply
    moved = NewJob(
        to_queue,
        job_id,
        job.name,
        encode(envelope),
        job.priority.value if priority is None else priority,
        job.tenant,
        job.acks_early,
        delay_ms or 0,
        job.due_at_ms if delay_ms is None and due_at_ms is None else due_at_ms,
        line="" if location is None else location.line,
    )
    failure: BrokerError | None = None
    try:
        if before is not None:
            # The job was in that queue before and was moved away, so the queue still knows its id.
            await broker.delete(to_queue, [job_id])
        has_arrived = await sender.send_new(moved)
    except BrokerError as error:
        failure, has_arrived = error, False
    # An earlier try may have got through, and its reply was lost.
    if not has_arrived and not await _has_arrived(broker, moved, failure):
        await _hold_back(broker, job, 0)
        if failure is not None:
            raise failure
        return "known"
    await broker.cancel(queue, [job_id], f"{_MOVED} {to_queue!r}", TOMBSTONE_MS)
    return "edited"


def _check_readable(job: Job) -> None:
    """Raise ``EnvelopeError`` where what is known of the job here is no copy of it."""
    if job.is_newer or not job.name:
        raise EnvelopeError(
            f"job {job.id!r} can't be moved to another queue: its record can't be read by this asyncjobs"
            + (f", since it has version {job.version}; move it with a newer one" if job.is_newer else "")
        )


async def _hold_back(broker: Broker, job: Job, by_ms: int) -> EditReply:
    """Let a job start ``by_ms`` after its own time, in its own queue."""
    if job.due_at_ms is None:
        return await broker.edit(job.queue, job.id, priority=None, delay_ms=by_ms, due_at_ms=None)
    return await broker.edit(job.queue, job.id, priority=None, delay_ms=None, due_at_ms=job.due_at_ms + by_ms)


async def _has_arrived(broker: Broker, moved: NewJob, failure: BrokerError | None) -> bool:
    try:
        found = await broker.find(moved.queue, moved.id)
    except BrokerError as error:
        raise failure or error from error
    return found is not None and encode(found.envelope) == moved.body
