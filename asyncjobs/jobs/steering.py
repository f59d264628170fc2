"""Exceptions by which a handler says what is to become of its job."""

from __future__ import annotations

import msgspec

from asyncjobs.core.duration import Duration, to_ms

__all__ = ["Cancel", "Discard", "JobControl", "Retry", "Snooze", "pack_control", "unpack_control"]


class JobControl(Exception):
    """What the exceptions have in common: raised in a handler or in a middleware, none of them is an accident."""


class Retry(JobControl):
    """Try again, ``after`` seconds (or a ``timedelta``) from now, or when the job's retry policy says.

    It counts as a failed attempt, with ``reason`` as its message: once ``max_retries`` are used up the job goes to the
    dead letter queue. Where a function is the policy, it is asked only without ``after``. Raises ``ArgumentsError`` for
    a wrong ``after``.
    """

    def __init__(self, after: Duration | None = None, reason: str = "the handler asked for a retry") -> None:
        super().__init__(reason)
        self.after_ms = None if after is None else to_ms("after", after)
        self.reason = reason


class Snooze(JobControl):
    """Run the job again ``after`` seconds (or a ``timedelta``): it was too early, and nothing is counted.

    Raises ``ArgumentsError`` for a wrong ``after``.
    """

    def __init__(self, after: Duration) -> None:
        self.after_ms = to_ms("after", after, least_ms=1)
        super().__init__(f"snoozed for {self.after_ms / 1000:g} s")


class Discard(JobControl):
    """Give up now: the job goes to the dead letter queue with ``reason``, whatever retries it has left."""

    def __init__(self, reason: str = "the handler discarded the job") -> None:
        super().__init__(reason)
        self.reason = reason


class Cancel(JobControl):
    """End the job as cancelled, with ``reason``; who awaits its result gets ``JobCancelled``."""

    def __init__(self, reason: str = "the handler cancelled the job") -> None:
        super().__init__(reason)
        self.reason = reason


_decode = msgspec.msgpack.Decoder(tuple[str, int | None, str]).decode


def pack_control(error: BaseException) -> bytes:
    """Return what ``error`` asks for, for another process; empty if it is none of these."""
    for kind in (Retry, Snooze, Discard, Cancel):
        if isinstance(error, kind):
            parts = kind.__name__, getattr(error, "after_ms", None), getattr(error, "reason", "")
            return msgspec.msgpack.encode(parts)
    return b""


def unpack_control(packed: bytes) -> JobControl:
    """Return the exception that ``pack_control`` packed."""
    kind, after_ms, reason = _decode(packed)
    if kind == "Retry":
        return Retry(None if after_ms is None else after_ms / 1000, reason)
    if kind == "Snooze":
        return Snooze((after_ms or 0) / 1000)
    return Discard(reason) if kind == "Discard" else Cancel(reason)
