"""Exceptions by which a handler, or a layer of middleware, decides what becomes of its job."""

from __future__ import annotations

import email.utils
import re
import time
from datetime import UTC

import msgspec

from asyncjobs.core.bounds import MAX_DURATION_MS, shown
from asyncjobs.core.duration import Duration, to_ms
from asyncjobs.core.gates import TENANT, By, Limit
from asyncjobs.core.settlement import bounded_message
from asyncjobs.core.text import message_of, storable
from asyncjobs.errors import ArgumentsError

__all__ = ["Cancel", "Discard", "RateLimited", "Retry", "Snooze", "Steering", "pack_steering", "unpack_steering"]


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


class RateLimited(Snooze):
    """Run the job again later, because a service has refused it for now, and start no other job of a limit meanwhile.

    The job waits as after ``Snooze``. The limit is closed until then, of a limit by value that for the value of this
    job: other jobs that need it stay in their queue, and none of them asks in vain.

    Args:
        limit: The limit to close, or its name; one of the job's own. By default the only one that it has. Where the job
            has one limit by several parameters apart, ``limit.by(…)`` says which.
        after: For how long: seconds, a ``timedelta``, or the text of a ``Retry-After`` header, which is a number of
            seconds or a date.

    Raises:
        ArgumentsError: ``after`` is none of these, or ``limit`` is no limit. A job that raises one that isn't its own
            has failed, with such an error.

    Example:
        ```python
        if response.status_code == 429:
            raise RateLimited(stripe, after=response.headers["Retry-After"])
        ```
    """

    def __init__(self, limit: Limit | str | None = None, *, after: Duration | str) -> None:
        if not isinstance(limit, Limit | str | None):
            raise ArgumentsError(f"RateLimited: limit={shown(limit)}: expected a Limit of the job, or its name")
        after_s = _retry_after_s(after) if isinstance(after, str) else to_ms("after", after) / 1000
        super().__init__(max(_LEAST_S, after_s))
        self.limit = (limit.name or "") if isinstance(limit, Limit) else limit
        """The name of the limit, empty for the job's limit without a name; ``None`` for its only one."""
        self.by: tuple[By, ...] = limit.parameters if isinstance(limit, Limit) else ()
        """What the limit goes by, where that was said."""


_LEAST_S = 0.001


def _retry_after_s(text: str) -> float:
    """Return the seconds that a ``Retry-After`` header asks to wait (RFC 9110, section 10.2.3)."""
    given = text.strip()
    if re.fullmatch("[0-9]{1,20}", given):
        seconds = float(given)
    else:
        try:
            at = email.utils.parsedate_to_datetime(given)
        except ValueError:
            raise ArgumentsError(
                f"after={shown(text)}: expected seconds, a timedelta, or the text of a Retry-After header"
            ) from None
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - time.time()
    return min(max(0.0, seconds), MAX_DURATION_MS / 1000)


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


# Of what a limit goes by, None stands for TENANT.
_decode = msgspec.msgpack.Decoder(tuple[str, int | None, str, str | None, list[str | None]]).decode


def pack_steering(error: BaseException) -> bytes:
    """Return ``error`` as bytes for another process; empty if it steers no job."""
    for kind in (RateLimited, Retry, Snooze, Discard, Cancel):
        if isinstance(error, kind):
            # The reason as a message, whatever the handler gave for it.
            reason = bounded_message(message_of(error))
            by = [None if one is TENANT else one for one in getattr(error, "by", ())]
            parts = kind.__name__, getattr(error, "after_ms", None), reason, getattr(error, "limit", None), by
            return msgspec.msgpack.encode(parts)
    return b""


def unpack_steering(packed: bytes) -> Steering:
    """Return the exception that ``pack_steering`` packed."""
    kind, after_ms, reason, limit, by = _decode(packed)
    if kind == "Retry":
        return Retry(None if after_ms is None else after_ms / 1000, reason)
    if kind == "RateLimited":
        raised = RateLimited(limit, after=(after_ms or 0) / 1000)
        raised.by = tuple(TENANT if one is None else one for one in by)
        return raised
    if kind == "Snooze":
        return Snooze((after_ms or 0) / 1000)
    return Discard(reason) if kind == "Discard" else Cancel(reason)
