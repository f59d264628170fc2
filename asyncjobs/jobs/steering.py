"""Exceptions by which a handler, or a layer of middleware, decides what becomes of its job."""

from __future__ import annotations

import msgspec

from asyncjobs.core.bounds import shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.settlement import bounded_message
from asyncjobs.core.text import message_of, storable
from asyncjobs.errors import ArgumentsError

__all__ = ["Cancel", "Discard", "Retry", "Snooze", "Steering", "pack_steering", "unpack_steering"]


class Steering(Exception):
    """The base of the exceptions that steer a job: raised on purpose, not by accident."""


def _checked_reason(given: object) -> str:
    if not isinstance(given, str):
        raise ArgumentsError(f"reason={shown(given)}: expected text")
    return str(given)


class Retry(Steering):
    """Run the job again, as after a failure.

    The attempt counts as failed, with ``reason`` as its message. Once the job's ``max_retries`` are used up, it goes to
    the dead letter queue.

    Args:
        after: How long to wait, in seconds or as a ``timedelta``. By default the job's retry policy decides; where the
            policy is a function, it is called only without ``after``.
        reason: The message of the failed attempt.

    Raises:
        ArgumentsError: ``after`` is no duration.

    Example:
        ```python
        raise Retry(after=30, reason="the rate limit is reached")
        ```
    """

    def __init__(self, after: Duration | None = None, reason: str = "the handler asked for a retry") -> None:
        super().__init__(reason)
        self.after_ms = None if after is None else to_ms("after", after)
        """How long to wait, in milliseconds; ``None`` if the policy decides."""
        self.reason = _checked_reason(reason)
        """The message of the failed attempt."""


class Snooze(Steering):
    """Run the job again later, because it was too early; no attempt and no failure is counted.

    Args:
        after: How long to wait, in seconds or as a ``timedelta``; more than 0.

    Raises:
        ArgumentsError: ``after`` is no duration.

    Example:
        ```python
        raise Snooze(after=60)
        ```
    """

    def __init__(self, after: Duration) -> None:
        self.after_ms = to_ms("after", after, least_ms=1)
        """How long to wait, in milliseconds."""
        super().__init__(f"snoozed for {self.after_ms / 1000:g} s")


class Discard(Steering):
    """Give up now: the job goes to the dead letter queue, whatever retries it has left.

    Args:
        reason: The message of the failed attempt.
    """

    def __init__(self, reason: str = "the handler discarded the job") -> None:
        super().__init__(reason)
        self.reason = _checked_reason(reason)
        """The message of the failed attempt."""


class Cancel(Steering):
    """End the job as cancelled; ``handle.result()`` raises ``JobCancelled``.

    Args:
        reason: Why, as ``JobCancelled`` and the job's record show it.
    """

    def __init__(self, reason: str = "the handler cancelled the job") -> None:
        super().__init__(reason)
        self.reason = storable(_checked_reason(reason))
        """Why the job was cancelled."""


_decode = msgspec.msgpack.Decoder(tuple[str, int | None, str]).decode


def pack_steering(error: BaseException) -> bytes:
    """Return ``error`` as bytes for another process; empty if it steers no job."""
    for kind in (Retry, Snooze, Discard, Cancel):
        if isinstance(error, kind):
            # The reason as a message, whatever the handler gave for it.
            parts = kind.__name__, getattr(error, "after_ms", None), bounded_message(message_of(error))
            return msgspec.msgpack.encode(parts)
    return b""


def unpack_steering(packed: bytes) -> Steering:
    """Return the exception that ``pack_steering`` packed."""
    kind, after_ms, reason = _decode(packed)
    if kind == "Retry":
        return Retry(None if after_ms is None else after_ms / 1000, reason)
    if kind == "Snooze":
        return Snooze((after_ms or 0) / 1000)
    return Discard(reason) if kind == "Discard" else Cancel(reason)
